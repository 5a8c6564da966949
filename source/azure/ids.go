package azure

import "strings"

func ptr[T any](v T) *T { return &v }

// armID lowers an id and takes what does not belong to it away: a trailing slash, space.
func armID(s string) string {
	return strings.ToLower(strings.TrimRight(strings.TrimSpace(s), "/"))
}

// after gives the segment of an id that follows the one named (in lower case).
func after(id, segment string) string {
	_, rest, found := strings.Cut(id, "/"+segment+"/")
	if !found {
		return ""
	}
	s, _, _ := strings.Cut(rest, "/")
	return s
}

// subscriptionOf gives /subscriptions/guid of an id, "" for one above subscriptions.
func subscriptionOf(id string) string {
	if !strings.HasPrefix(id, "/subscriptions/") {
		return ""
	}
	guid, _, _ := strings.Cut(id[len("/subscriptions/"):], "/")
	if guid == "" {
		return ""
	}
	return "/subscriptions/" + guid
}

// parentOf gives what an extension resource is attached to: what stands before its last
// /providers/, "" for the tenant.
func parentOf(id string) string {
	i := strings.LastIndex(id, "/providers/")
	if i < 0 {
		return ""
	}
	return id[:i]
}

// typeOfID gives namespace/type of the last provider in an id, child types included.
func typeOfID(id string) string {
	i := strings.LastIndex(id, "/providers/")
	if i < 0 {
		if parts := strings.Split(id, "/"); len(parts) == 5 && parts[3] == "resourcegroups" {
			return "microsoft.resources/resourcegroups"
		} else if len(parts) == 3 && parts[1] == "subscriptions" {
			return "microsoft.resources/subscriptions"
		}
		return ""
	}
	parts := strings.Split(id[i+len("/providers/"):], "/")
	typ := parts[0]
	for j := 1; j < len(parts); j += 2 {
		typ += "/" + parts[j]
	}
	return typ
}

// isGUID says whether s looks like a subscription's id.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// region writes a location as ARM names it: "West Europe" is westeurope.
func region(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), " ", "")
}
