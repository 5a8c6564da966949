package kubeaudit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"crypto/sha256"
)

// Checkpoints keeps where a File stands. A mark is a small JSON document.
type Checkpoints interface {
	// Load returns the mark saved under key, nil when there is none.
	Load(ctx context.Context, key string) ([]byte, error)
	// Save keeps a mark; once it returns nil the mark outlives a crash.
	Save(ctx context.Context, key string, mark []byte) error
}

// Folder keeps checkpoints as files in a directory of its own, which it makes when it is
// not there.
type Folder string

// maxMark bounds a mark as read.
const maxMark = 4096

func (d Folder) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(string(d), hex.EncodeToString(sum[:12])+".json")
}

// Load reads a mark.
func (d Folder) Load(_ context.Context, key string) ([]byte, error) {
	b, err := os.ReadFile(d.path(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the checkpoint of %s: %w", key, err)
	case len(b) > maxMark:
		return nil, fmt.Errorf("%s, the checkpoint of %s, has %d bytes: want at most %d; remove it to begin anew", d.path(key), key, len(b), maxMark)
	}
	return b, nil
}

// Save writes a mark beside the old one and puts it in its place.
func (d Folder) Save(_ context.Context, key string, mark []byte) error {
	err := os.MkdirAll(string(d), 0o700)
	if err == nil {
		err = replace(d.path(key), mark)
	}
	if err != nil {
		return fmt.Errorf("keeping the checkpoint of %s: %w", key, err)
	}
	return nil
}

func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".mark-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
