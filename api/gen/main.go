// Command gen writes the Go code of the API contract. It builds the two protoc
// plugins from the versions go.mod pins, so only protoc itself must be installed
// (Debian: protobuf-compiler). Run it by `make generate`.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// plugins are packages of modules already in go.mod.
var plugins = [...]string{
	"google.golang.org/protobuf/cmd/protoc-gen-go",
	"connectrpc.com/connect/cmd/protoc-gen-connect-go",
}

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "api/gen:", err)
		os.Exit(1)
	}
}

// generate runs in the directory of the go:generate line: api.
func generate() error {
	protoc, err := exec.LookPath("protoc")
	if err != nil {
		return fmt.Errorf("protoc is not installed: install protobuf-compiler: %w", err)
	}
	bin, err := os.MkdirTemp("", "dockreeve-protoc-")
	if err != nil {
		return fmt.Errorf("make a place for the plugins: %w", err)
	}
	defer os.RemoveAll(bin)
	for _, pkg := range plugins {
		if err := run("go", "build", "-o", filepath.Join(bin, filepath.Base(pkg)), pkg); err != nil {
			return fmt.Errorf("build %s: %w", pkg, err)
		}
	}
	return run(protoc,
		"--plugin=protoc-gen-go="+filepath.Join(bin, "protoc-gen-go"),
		"--plugin=protoc-gen-connect-go="+filepath.Join(bin, "protoc-gen-connect-go"),
		"--go_out=.", "--go_opt=paths=source_relative",
		"--connect-go_out=.", "--connect-go_opt=paths=source_relative",
		"dockreeve/v1/dockreeve.proto")
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
