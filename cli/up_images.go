package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/scan/advisory"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/scanner"
	"github.com/dockreeve/dockreeve/server/images"
)

// imageFlags say how a server looks after images.
type imageFlags struct {
	source     sourceFlags
	db         dbFlags
	update     bool
	feeds      string
	mirror     string
	pull       bool
	off        bool
	registries string
	containerd string
	canary     time.Duration
}

func (f *imageFlags) flags(cmd *cobra.Command) {
	f.db.flags(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&f.off, "no-image-scan", false, "do not scan the images of running containers")
	fl.BoolVar(&f.pull, "pull-images", false, "pull images that run here and are in no store of this machine, to scan them")
	fl.StringVar(&f.containerd, "containerd-root", "", "where containerd keeps its state (default: /var/lib/containerd, or that of k3s, k0s, MicroK8s)")
	fl.StringVar(&f.source.namespace, "containerd-namespace", "", "namespace of containerd to look in (default: all)")
	fl.BoolVar(&f.update, "db-update", false, "ask the feeds for new advisories every six hours; without it nothing is fetched")
	fl.StringVar(&f.feeds, "db-config", "", "file with the list of feeds, for --db-update")
	fl.StringVar(&f.mirror, "db-mirror", "", "base address of a mirror of all feeds, for --db-update")
	fl.DurationVar(&f.canary, "image-canary-every", 24*time.Hour, "how often a test image proves that vulnerable images are found, and after each change of the advisories; 0 = never (docs/governance.md)")
	fl.StringVar(&f.registries, "registries", "", "file that names registries to walk and to hear pushes from (docs/images.md)")
}

// options make what the server's keeper of images needs; state is the server's directory.
func (f *imageFlags) options(state string, local bool) (images.Options, error) {
	if f.db.path == "" && os.Getenv("DOCKREEVE_DB") == "" {
		f.db.path = filepath.Join(state, "advisories.db")
	}
	opt := images.Options{Database: f.db.file(), MaxAge: f.db.maxAge, Local: local, Pull: f.pull}
	var err error
	if opt.CanaryEvery, err = node.CanaryEvery(f.canary); err != nil {
		return opt, withCode(exitUsage, "--image-canary-every %w", err)
	}
	opt.Containerd.ContainerdRoot, opt.Containerd.ContainerdNamespace = f.containerd, f.source.namespace
	if f.db.maxAge == 0 {
		opt.MaxAge = -1 // any age
	}
	if !f.off {
		f.source.cache = filepath.Join(state, "cache")
		src, err := f.source.options()
		if err != nil {
			return opt, err
		}
		src.ContainerdRoot = f.containerd
		so := scanner.Options{Image: src}
		so.Catalog.Cache, so.Catalog.Secrets, so.Catalog.Config = f.source.layerCache(), true, true
		opt.Scanner = scanner.New(so)
	}
	if f.update {
		u := advisory.UpdateOptions{Mirror: f.mirror}
		if f.feeds != "" {
			c, err := advisory.LoadConfig(f.feeds)
			if err != nil {
				return opt, withCode(exitUsage, "--db-config: %w", err)
			}
			u.Config = c
		}
		opt.Update = func(ctx context.Context) error {
			res, err := advisory.Update(ctx, opt.Database, u)
			if err != nil {
				return err
			}
			var failed []error
			for _, feed := range res.Feeds {
				if feed.Error != "" {
					failed = append(failed, fmt.Errorf("%s: %s", feed.Name, feed.Error))
				}
			}
			return errors.Join(failed...)
		}
	} else if f.feeds != "" || f.mirror != "" {
		return opt, withCode(exitUsage, "--db-config and --db-mirror do nothing without --db-update")
	}
	if f.registries != "" {
		list, err := loadRegistries(f.registries)
		if err != nil {
			return opt, withCode(exitUsage, "%w", err)
		}
		opt.Registries = list
	}
	return opt, nil
}

// registryFile is the file of --registries.
type registryFile struct {
	Registries []struct {
		Host         string        `yaml:"host"`
		Repositories []string      `yaml:"repositories"`
		Exclude      []string      `yaml:"exclude"`
		Tags         []string      `yaml:"tags"`
		Newest       int           `yaml:"newest"`
		Every        time.Duration `yaml:"every"`
		SecretFile   string        `yaml:"secretFile"` // of push notifications
		Insecure     bool          `yaml:"insecure"`
		CAFile       string        `yaml:"caFile"`
	} `yaml:"registries"`
}

// maxRegistries bounds the file of --registries.
const maxRegistries = 1000

func loadRegistries(path string) ([]images.Registry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--registries: %w", err)
	}
	defer f.Close()
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	var file registryFile
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("--registries %s: %w", path, err)
	}
	if n := len(file.Registries); n == 0 || n > maxRegistries {
		return nil, fmt.Errorf("--registries %s: it names %d registries, want 1 to %d under the key registries", path, n, maxRegistries)
	}
	var out []images.Registry
	for i, r := range file.Registries {
		at := fmt.Sprintf("--registries %s: entry %d", path, i+1)
		if r.Host == "" {
			return nil, fmt.Errorf("%s: host is missing", at)
		}
		if r.Every == 0 && r.SecretFile == "" {
			return nil, fmt.Errorf("%s (%s): neither every nor secretFile: it would never be looked at", at, r.Host)
		}
		if r.Every != 0 && r.Every < time.Minute {
			return nil, fmt.Errorf("%s (%s): every %v: want a minute or more", at, r.Host, r.Every)
		}
		x := images.Registry{Host: r.Host, Repositories: r.Repositories, Exclude: r.Exclude, Tags: r.Tags, Newest: r.Newest, Every: r.Every, Client: image.Registry{CAFile: r.CAFile}}
		if r.Insecure {
			x.Client.Insecure = []string{r.Host}
		}
		if r.SecretFile != "" {
			b, err := readSmall(r.SecretFile)
			if err != nil {
				return nil, fmt.Errorf("%s (%s): %w", at, r.Host, err)
			}
			if x.Secret = b; len(x.Secret) < 16 {
				return nil, fmt.Errorf("%s (%s): the secret in %s has %d characters, want 16 or more", at, r.Host, r.SecretFile, len(x.Secret))
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// readSmall reads a file of one line.
func readSmall(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > 4096 {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("want a regular file of at most 4 KiB")}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return string(b), nil
}
