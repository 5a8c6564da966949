package cost

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	mostTags     = 200
	mostTagBytes = 32 << 10
)

// Normalise reads tags as bills write them: a JSON object, or its members without the
// braces as Azure's older exports have them. Values that are no strings become text. At
// most 200 tags and 32 KiB are read.
func Normalise(s string) (map[string]string, error) {
	s = strings.TrimSpace(s)
	if isNull(s) || s == "{}" {
		return nil, nil
	}
	if len(s) > mostTagBytes {
		return nil, fmt.Errorf("tags of %d bytes: at most %d are read", len(s), mostTagBytes)
	}
	if !strings.HasPrefix(s, "{") {
		s = "{" + strings.TrimSuffix(s, ",") + "}"
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var got map[string]any
	if err := d.Decode(&got); err != nil || d.More() {
		return nil, fmt.Errorf("tags %.40q are no JSON object and no list of \"key\": \"value\"", s)
	}
	if len(got) > mostTags {
		return nil, fmt.Errorf("%d tags: at most %d are read", len(got), mostTags)
	}
	if len(got) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(got))
	for k, v := range got {
		switch v := v.(type) {
		case nil:
			out[k] = ""
		case string:
			out[k] = v
		case bool:
			out[k] = strconv.FormatBool(v)
		case json.Number:
			out[k] = v.String()
		default:
			b, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("tag %.40q: %w", k, err)
			}
			out[k] = string(b)
		}
	}
	return out, nil
}

func isNull(s string) bool { return s == "" || strings.EqualFold(s, "null") }
