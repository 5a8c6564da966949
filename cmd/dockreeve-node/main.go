// Command dockreeve-node is the node role alone: it watches this machine's kernel and
// writes what it finds to standard output as NDJSON.
package main

import (
	"os"

	"github.com/dockreeve/dockreeve/agent/node"
)

func main() {
	if !node.IsCanary(os.Args) {
		os.Exit(node.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
}
