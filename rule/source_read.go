package rule

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// maxReadBytes bounds what one ReadPaths takes into memory.
const maxReadBytes = 256 << 20

// ReadPaths reads rule files: a path to a file is read whatever its name, a
// path to a directory stands for the *.yml and *.yaml files in it (not below
// it) in lexicographic order. The order of the paths is kept, because later
// files change what earlier ones define. A file may hold MaxFileBytes, all
// together 256 MiB.
func ReadPaths(paths []string) ([]File, error) {
	var names []string
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("rule path %s: %w; check the path", p, err)
		}
		if !st.IsDir() {
			names = append(names, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, fmt.Errorf("rule directory %s: %w", p, err)
		}
		var found []string
		for _, e := range entries {
			name := filepath.Join(p, e.Name())
			if ext := filepath.Ext(name); ext != ".yml" && ext != ".yaml" || strings.HasPrefix(e.Name(), "..") {
				continue
			}
			// Stat follows links: a mounted ConfigMap holds nothing else.
			if st, err := os.Stat(name); err != nil || st.IsDir() {
				if err != nil {
					return nil, fmt.Errorf("rule file %s: %w", name, err)
				}
				continue
			}
			found = append(found, name)
		}
		sort.Strings(found)
		names = append(names, found...)
	}
	files := make([]File, 0, len(names))
	total := 0
	for _, name := range names {
		data, err := readBounded(name)
		if err != nil {
			return nil, err
		}
		total += len(data)
		if total > maxReadBytes {
			return nil, fmt.Errorf("rule file %s: all files together pass %d MiB; load fewer", name, maxReadBytes>>20)
		}
		files = append(files, File{Name: name, Data: data})
	}
	return files, nil
}

func readBounded(name string) (data []byte, err error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("rule file %s: %w", name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("rule file %s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("rule file %s: %w", name, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("rule file %s: %w", name, cerr)
		}
	}()
	data, err = io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("rule file %s: %w", name, err)
	}
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("rule file %s: larger than %d MiB; split it", name, MaxFileBytes>>20)
	}
	return data, nil
}
