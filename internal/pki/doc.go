// Package pki makes and checks the certificates with which roles know each other: a
// certificate authority of one hub, join tokens that work once, and TLS configurations.
package pki
