package event

// ShortID returns the first 12 characters of the container's id.
func (c *Container) ShortID() string {
	if len(c.ID) > 12 {
		return c.ID[:12]
	}
	return c.ID
}

func containerID(e *Event, _ *Arg) (string, bool) {
	if e.Container == nil {
		return "host", true
	}
	id := e.Container.ShortID()
	return id, id != ""
}
