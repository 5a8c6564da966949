// Command dockreeve is the whole program; its commands are in package cli.
package main

import (
	"os"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/cli"
)

func main() {
	if !node.IsCanary(os.Args) {
		os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
}
