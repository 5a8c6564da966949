// Package api owns the protobuf contract of a Dockreeve server (dockreeve/v1)
// and, below it, the Go code generated from it. It promises that the committed
// code is what `make generate` writes. It holds no handlers: those are server/api.
package api

//go:generate go run ./gen
