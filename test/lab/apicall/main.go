// Apicall is what the lab's pods call the world with: one static program, so that an
// image needs nothing else.
//
//	apicall get /api/v1/namespaces/x/secrets        the API server, with the pod's own token
//	apicall post /api/v1/namespaces/x/pods -body F  F is a file, - is standard input
//	apicall -as USER -token FILE -server URL get /  as somebody else, elsewhere
//	apicall -n 50 get /api/v1/secrets               fifty times
//	apicall url get http://10.0.0.1:10255/pods      any address, no token
//	apicall scan 10.0.0.1 22,80,443,10250           TCP ports that answer
//	apicall serve 8080                              an HTTP server that says ok
//
// It prints "HTTP STATUS" and the answer (at most 1 MiB), and exits 0 whenever it had an
// answer, whatever that was; 1 without one; 2 on wrong usage.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	as := flag.String("as", "", "user to impersonate")
	group := flag.String("as-group", "", "group to impersonate")
	token := flag.String("token", account+"token", "file of the bearer token; none = anonymous")
	server := flag.String("server", "", "URL of the API server; default: the one of this pod")
	body := flag.String("body", "", "file of the body, - for standard input")
	kind := flag.String("type", "application/json", "media type of the body")
	agent := flag.String("agent", "", "user agent to say")
	times := flag.Int("n", 1, "how often")
	quiet := flag.Bool("q", false, "say the status only")
	args := interleaved()
	if len(args) < 2 {
		flag.Usage()
		os.Exit(2)
	}
	switch args[0] {
	case "scan":
		if len(args) != 3 {
			flag.Usage()
			os.Exit(2)
		}
		scan(args[1], strings.Split(args[2], ","))
		return
	case "serve":
		err := http.ListenAndServe(":"+args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }))
		fail(err)
	}
	plain := args[0] == "url"
	if plain {
		args = args[1:]
	}
	if len(args) != 2 {
		flag.Usage()
		os.Exit(2)
	}
	method, url := strings.ToUpper(args[0]), args[1]
	if !plain {
		if *server == "" {
			*server = "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
		}
		url = *server + url
	}
	var text []byte
	var err error
	switch *body {
	case "":
	case "-":
		text, err = io.ReadAll(os.Stdin)
	default:
		text, err = os.ReadFile(*body)
	}
	fail(err)
	bearer := ""
	if !plain && *token != "none" {
		b, err := os.ReadFile(*token)
		fail(err)
		bearer = strings.TrimSpace(string(b))
	}
	// Whom it talks to does not matter to what it is for.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for range *times {
		req, err := http.NewRequest(method, url, strings.NewReader(string(text)))
		fail(err)
		set := func(key, value string) {
			if value != "" {
				req.Header.Set(key, value)
			}
		}
		if bearer != "" {
			set("Authorization", "Bearer "+bearer)
		}
		set("Impersonate-User", *as)
		set("Impersonate-Group", *group)
		set("User-Agent", *agent)
		if len(text) > 0 {
			set("Content-Type", *kind)
		}
		resp, err := client.Do(req)
		fail(err)
		fmt.Println("HTTP", resp.StatusCode)
		out := io.Writer(os.Stdout)
		if *quiet {
			out = io.Discard
		}
		_, err = io.Copy(out, io.LimitReader(resp.Body, 1<<20))
		fail(err)
		resp.Body.Close()
	}
}

// interleaved parses flags before, between and after the arguments.
func interleaved() (args []string) {
	flag.Parse()
	for rest := flag.Args(); len(rest) > 0; rest = flag.Args() {
		args = append(args, rest[0])
		if err := flag.CommandLine.Parse(rest[1:]); err != nil {
			os.Exit(2)
		}
	}
	return args
}

func scan(host string, ports []string) {
	for _, p := range ports {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, p), 2*time.Second)
		if err != nil {
			fmt.Println(p, "closed")
			continue
		}
		c.Close()
		fmt.Println(p, "open")
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "apicall:", err)
		os.Exit(1)
	}
}
