package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxState bounds the file of a State.
const maxState = 512 << 20

// State is what walks of one registry have seen. It is kept as JSON between them. The
// zero value has seen nothing.
type State struct {
	Registry string `json:"registry"`
	// Repositories is repository → tag → digest, of all that was scanned.
	Repositories map[string]map[string]string `json:"repositories"`
	// Cursor is the last repository, in order, that an unfinished walk is done with;
	// the next one goes on behind it. "" = the last walk came to its end.
	Cursor string `json:"cursor,omitempty"`

	resume string
}

// begin prepares for a walk of host.
func (s *State) begin(host string) error {
	if s.Registry != "" && s.Registry != host {
		return fmt.Errorf("the state is of the registry %s, not of %s: keep one for each", s.Registry, host)
	}
	s.Registry, s.resume = host, s.Cursor
	if s.Repositories == nil {
		s.Repositories = map[string]map[string]string{}
	}
	return nil
}

func (s *State) set(repo, tag, digest string) {
	if s.Repositories[repo] == nil {
		s.Repositories[repo] = map[string]string{}
	}
	s.Repositories[repo][tag] = digest
}

func (s *State) digests(repo string) map[string]bool {
	known := make(map[string]bool, len(s.Repositories[repo]))
	for _, d := range s.Repositories[repo] {
		known[d] = true
	}
	return known
}

// keepTags forgets the tags that are there no more.
func (s *State) keepTags(repo string, tags []tag) {
	have := make(map[string]bool, len(tags))
	for _, t := range tags {
		have[t.name] = true
	}
	for t := range s.Repositories[repo] {
		if !have[t] {
			delete(s.Repositories[repo], t)
		}
	}
}

// keep forgets the repositories that are there no more.
func (s *State) keep(repos []string) {
	have := make(map[string]bool, len(repos))
	for _, r := range repos {
		have[r] = true
	}
	for r := range s.Repositories {
		if !have[r] {
			delete(s.Repositories, r)
		}
	}
}

// ReadState reads what Write wrote.
func ReadState(r io.Reader) (*State, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("state of a walk: %w", err)
	}
	if len(b) > maxState {
		return nil, fmt.Errorf("state of a walk: larger than %d MiB", maxState>>20)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("state of a walk: %w", err)
	}
	return &s, nil
}

// LoadState reads a file; one that does not exist is an empty state.
func LoadState(path string) (*State, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return &State{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state of a walk: %w", err)
	}
	defer f.Close()
	s, err := ReadState(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to walk from the start", path, err)
	}
	return s, nil
}

// Write writes the state to a file, whole or not at all.
func (s *State) Write(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
