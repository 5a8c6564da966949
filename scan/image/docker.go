package image

import (
	"context"
	"errors"
)

func (s *source) openDocker(ctx context.Context, ref string) ([]*Opened, error) {
	return nil, errors.New("not yet")
}
func (s *source) openContainerd(ctx context.Context, ref string) ([]*Opened, error) {
	return nil, errors.New("not yet")
}
