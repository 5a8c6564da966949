package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// daemon speaks the two calls of the Docker Engine API that reading an image takes.
// The engine's own client library would add 1.2 MB to the binary for them, and
// telemetry that nothing here reads.
type daemon struct {
	http *http.Client
	base string // http://host
	at   string // as an error names it
}

// dockerHosts are the addresses to try: the one told, else where engines listen.
func (o *Options) dockerHosts() []string {
	if o.DockerHost != "" {
		return []string{o.DockerHost}
	}
	if h := o.getenv("DOCKER_HOST"); h != "" {
		return []string{h}
	}
	hosts := []string{"unix:///var/run/docker.sock"}
	if run := o.getenv("XDG_RUNTIME_DIR"); run != "" {
		hosts = append(hosts, "unix://"+run+"/docker.sock")
	}
	return hosts
}

// newDaemon finds the first engine whose socket is there.
func (o *Options) newDaemon() (*daemon, error) {
	var errs []string
	for _, host := range o.dockerHosts() {
		u, err := url.Parse(host)
		if err != nil {
			return nil, fmt.Errorf("DOCKER_HOST %q: %w", clip(host, 100), err)
		}
		t := &http.Transport{ResponseHeaderTimeout: 10 * time.Minute, MaxResponseHeaderBytes: 1 << 20, DisableCompression: true}
		d := &daemon{http: &http.Client{Transport: t}, at: host}
		switch u.Scheme {
		case "unix":
			path := u.Path
			if _, err := os.Stat(path); err != nil {
				errs = append(errs, fmt.Sprintf("no socket %s", path))
				continue
			}
			t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", path)
			}
			d.base = "http://docker"
		case "tcp", "http", "https":
			t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
			t.Proxy = http.ProxyFromEnvironment
			d.base = "http://" + u.Host
			if u.Scheme == "https" || o.getenv("DOCKER_TLS_VERIFY") != "" {
				d.base = "https://" + u.Host
				if t.TLSClientConfig, err = o.dockerTLS(); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("DOCKER_HOST %s: %s:// is not supported; unix:// and tcp:// are. Elsewhere: `docker save IMAGE | dockreeve scan -`", clip(host, 100), clip(u.Scheme, 20))
		}
		return d, nil
	}
	return nil, fmt.Errorf("no Docker engine: %s", strings.Join(errs, ", "))
}

// dockerTLS reads ca.pem, cert.pem and key.pem from DOCKER_CERT_PATH, else ~/.docker.
func (o *Options) dockerTLS() (*tls.Config, error) {
	dir := o.getenv("DOCKER_CERT_PATH")
	if dir == "" {
		dir = filepath.Join(o.getenv("HOME"), ".docker")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err == nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", filepath.Join(dir, "ca.pem"))
		}
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err == nil {
		cfg.Certificates = []tls.Certificate{cert}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("client certificate of the Docker engine: %w", err)
	}
	return cfg, nil
}

var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{7,64}$`)

// get asks for /images/<ref>/<what>; ref is a name or an image id.
func (d *daemon) get(ctx context.Context, ref, what string, query url.Values) (*http.Response, error) {
	u := d.base + (&url.URL{Path: "/images/" + ref + "/" + what}).EscapedPath()
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	res, err := d.http.Do(req)
	if err != nil {
		cancel(nil)
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("Docker engine at %s: permission denied: run as root or as a member of the group docker", d.at)
		}
		return nil, fmt.Errorf("Docker engine at %s: %w", d.at, err)
	}
	res.Body = newStalling(res.Body, ctx, cancel, 10*time.Minute, d.at)
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var body struct{ Message string }
	if b, err := readDocument(res.Body, "answer"); err == nil {
		json.Unmarshal(b, &body)
	}
	msg := printable(clip(body.Message, 300))
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w there (%s)", ErrNotFound, msg)
	}
	return nil, fmt.Errorf("Docker engine at %s answers %d: %s", d.at, res.StatusCode, msg)
}

// inspected is what the engine says of an image.
type inspected struct {
	ID           string `json:"Id"`
	RepoTags     []string
	Os           string
	Architecture string
	Variant      string
	Descriptor   *descriptor // only engines that store images in containerd
}

// openDocker opens an image of the Docker engine, which streams it as docker save does.
func (s *source) openDocker(ctx context.Context, ref string) ([]*Opened, error) {
	if !imageID.MatchString(ref) {
		r, err := parseReference(ref)
		if err != nil {
			return nil, err
		}
		s.repo = repositoryName(r.repo)
	}
	d, err := s.opt.newDaemon()
	if err != nil {
		return nil, err
	}
	defer d.http.CloseIdleConnections()
	// An engine that hangs must not keep the other places from being asked.
	quick, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := d.get(quick, ref, "json", nil)
	if err != nil {
		return nil, err
	}
	b, err := readDocument(res.Body, "answer of the Docker engine")
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	var is inspected
	if err := json.Unmarshal(b, &is); err != nil {
		return nil, fmt.Errorf("answer of the Docker engine at %s: %w", d.at, err)
	}
	index := is.Descriptor != nil && (is.Descriptor.MediaType == typeOCIIndex || is.Descriptor.MediaType == typeDockerList)
	query := url.Values{}
	if has := (platform{OS: is.Os, Architecture: is.Architecture, Variant: is.Variant}); s.want.explicit && !has.matches(s.want.platform) {
		if !index {
			return nil, noPlatform(ref, s.want, []platform{has})
		}
		p, _ := json.Marshal(map[string]string{"os": s.want.platform.OS, "architecture": s.want.platform.Architecture, "variant": s.want.platform.Variant})
		query.Set("platform", string(p))
	}
	if res, err = d.get(ctx, ref, "get", query); err != nil {
		return nil, err
	}
	f, size, err := s.opt.spool(ctx, res.Body, "image from the Docker engine at "+d.at)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	s.kind = scan.KindDocker
	out, err := s.openFile(ctx, f, size, "")
	for _, o := range out {
		if len(o.Image.Tags) == 0 {
			o.Image.Tags = is.RepoTags
		}
		// The classic store's repository digests may be of an index or of a manifest,
		// and it does not say which; only a descriptor does.
		if is.Descriptor != nil && validDigest(is.Descriptor.Digest) == nil {
			if index {
				o.Image.IndexDigest = is.Descriptor.Digest
			} else if o.Image.Digest == "" {
				o.Image.Digest = is.Descriptor.Digest
			}
		}
	}
	return out, err
}
