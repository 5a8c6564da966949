package rule

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/event"
)

// parseNumber reads a literal of a numeric type: decimal, 0x hexadecimal, or a
// whole number with an exponent (1e9). Unsigned values come as the bits of an
// int64; a negative literal wraps, as it does upstream.
func parseNumber(text string, typ event.FieldType) (int64, error) {
	switch typ {
	case event.TypePort:
		return parsePort(text)
	case event.TypeRelTime:
		if d, err := time.ParseDuration(text); err == nil && strings.TrimLeft(text, "+-0") != "" {
			return int64(d), nil
		}
	}
	t := strings.TrimPrefix(text, "+")
	if h, ok := strings.CutPrefix(t, "0x"); ok {
		if v, err := strconv.ParseUint(h, 16, 64); err == nil && (!signed(typ) || v <= 1<<63-1) {
			return int64(v), nil
		}
		return 0, fmt.Errorf("%s is not a valid number", text)
	}
	if v, err := strconv.ParseInt(t, 10, 64); err == nil {
		return v, nil
	}
	if !signed(typ) {
		if v, err := strconv.ParseUint(t, 10, 64); err == nil {
			return int64(v), nil
		}
	}
	if m, e, ok := strings.Cut(strings.ToLower(t), "e"); ok {
		v, err := strconv.ParseInt(m, 10, 64)
		n, err2 := strconv.ParseUint(strings.TrimPrefix(e, "+"), 10, 8)
		if err == nil && err2 == nil {
			for ; n > 0 && v != 0; n-- {
				if v > (1<<63-1)/10 || v < -(1<<63)/10 {
					return 0, fmt.Errorf("%s is out of range", text)
				}
				v *= 10
			}
			return v, nil
		}
	}
	return 0, fmt.Errorf("%s is not a valid number", text)
}

// parsePort reads a port: a number or the name of a service.
func parsePort(text string) (int64, error) {
	if text == "" {
		return 0, nil // as upstream
	}
	if strings.Trim(text, "0123456789") == "" {
		v, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%s is not a port (0 to 65535)", text)
		}
		return int64(v), nil
	}
	if v, ok := services[text]; ok {
		return v, nil
	}
	return 0, fmt.Errorf("unrecognized protocol %s", text)
}

func literalBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("filter error: unrecognized boolean value %s", text)
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		if strings.Contains(text, ".") {
			return netip.Addr{}, fmt.Errorf("unrecognized IPv4 address %s", text)
		}
		return netip.Addr{}, fmt.Errorf("unrecognized IPv6 address %s", text)
	}
	return a.Unmap(), nil
}

func parseNet(text string) (netip.Prefix, error) {
	ip, mask, ok := strings.Cut(text, "/")
	if !ok {
		return netip.Prefix{}, fmt.Errorf("unrecognized IP network %s", text)
	}
	a, err := parseAddr(ip)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("unrecognized IP address %s", text)
	}
	n, err := strconv.ParseUint(mask, 10, 8)
	if err != nil || int(n) > a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("invalid netmask %s", mask)
	}
	return netip.PrefixFrom(a, int(n)).Masked(), nil
}

// parseHex reads the literal of bcontains and bstartswith.
func parseHex(text string) (string, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("filter error: bcontains and bstartswith operator support hex strings only")
	}
	return string(b), nil
}
