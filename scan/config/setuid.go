package config

import (
	"path"
	"strings"
)

// usualSetuid are the setuid and setgid files that packages of the common
// distributions ship, and why they need the bit. Paths are without usr/, see canonical.
var usualSetuid = map[string]string{
	"bin/su":                            "becomes another user after asking for the password",
	"bin/sudo":                          "becomes another user by its rules",
	"bin/doas":                          "becomes another user by its rules",
	"bin/mount":                         "users mount what fstab lets them",
	"bin/umount":                        "users unmount what fstab lets them",
	"bin/passwd":                        "users change their own password in shadow",
	"bin/chsh":                          "users change their own shell in passwd",
	"bin/chfn":                          "users change their own name in passwd",
	"bin/chage":                         "users read the age of their password in shadow",
	"bin/expiry":                        "users read the age of their password in shadow",
	"bin/gpasswd":                       "group administrators change members in gshadow",
	"bin/newgrp":                        "users change to a group of theirs",
	"bin/newuidmap":                     "sets user id maps of a new user namespace",
	"bin/newgidmap":                     "sets group id maps of a new user namespace",
	"bin/ping":                          "opens a raw socket where ping groups are not set",
	"bin/fusermount":                    "users mount file systems of their own",
	"bin/fusermount3":                   "users mount file systems of their own",
	"bin/crontab":                       "users change their own schedule",
	"bin/at":                            "users queue jobs",
	"bin/wall":                          "writes to terminals of the group tty",
	"bin/write":                         "writes to terminals of the group tty",
	"bin/write.ul":                      "writes to terminals of the group tty",
	"bin/bsd-write":                     "writes to terminals of the group tty",
	"bin/ssh-agent":                     "setgid so that other processes of the user cannot trace it",
	"bin/pkexec":                        "becomes another user by polkit's rules",
	"bin/locate":                        "reads the index of the group that owns it",
	"bin/mlocate":                       "reads the index of the group that owns it",
	"bin/plocate":                       "reads the index of the group that owns it",
	"bin/dotlockfile":                   "locks mailboxes of the group mail",
	"bin/mutt_dotlock":                  "locks mailboxes of the group mail",
	"bin/screen":                        "opens terminals of the group utmp",
	"bin/bbsuid":                        "carries BusyBox's own setuid applets",
	"bin/staprun":                       "loads kernel modules for the group stapusr",
	"bin/dumpcap":                       "captures packets for its group",
	"sbin/unix_chkpwd":                  "checks the user's own password in shadow",
	"sbin/pam_extrausers_chkpwd":        "checks the user's own password in shadow",
	"sbin/pam_timestamp_check":          "reads time stamps of PAM",
	"sbin/mount.nfs":                    "users mount what fstab lets them",
	"sbin/mount.cifs":                   "users mount what fstab lets them",
	"sbin/usernetctl":                   "users switch interfaces they may",
	"sbin/userhelper":                   "runs programs by PAM's rules",
	"sbin/grub2-set-bootflag":           "sets a flag for the next boot",
	"sbin/postdrop":                     "hands mail to the queue of its group",
	"sbin/postqueue":                    "shows the queue of its group",
	"sbin/exim4":                        "delivers mail as its recipients",
	"sbin/lockdev":                      "locks devices of its group",
	"sbin/netreport":                    "asks for notice of interface changes",
	"sbin/utempter":                     "writes utmp for terminal programs",
	"libexec/utempter/utempter":         "writes utmp for terminal programs",
	"libexec/openssh/ssh-keysign":       "signs with the host's key",
	"lib/openssh/ssh-keysign":           "signs with the host's key",
	"lib/ssh/ssh-keysign":               "signs with the host's key",
	"libexec/dbus-daemon-launch-helper": "starts system services for D-Bus",
	"libexec/dbus-1/dbus-daemon-launch-helper": "starts system services for D-Bus",
	"lib/dbus-1.0/dbus-daemon-launch-helper":   "starts system services for D-Bus",
	"lib/polkit-1/polkit-agent-helper-1":       "checks passwords for polkit",
	"libexec/polkit-agent-helper-1":            "checks passwords for polkit",
	"lib/policykit-1/polkit-agent-helper-1":    "checks passwords for polkit",
	"lib/x86_64-linux-gnu/utempter/utempter":   "writes utmp for terminal programs",
	"lib/aarch64-linux-gnu/utempter/utempter":  "writes utmp for terminal programs",
	"lib/chromium/chrome-sandbox":              "sets up namespaces where users may not",
	"lib/xorg/Xorg.wrap":                       "starts the X server with its rights",
	"lib/emacs/games/update-game-score":        "keeps scores of the group games",
}

// canonical drops what merged /usr and local spellings add to a path.
func canonical(p string) string {
	p = strings.TrimPrefix(p, "/")
	if strings.HasPrefix(p, "usr/local/") {
		return p // not the distribution's
	}
	return strings.TrimPrefix(p, "usr/")
}

// givesShell reports whether a program with root's rights hands them to whoever starts it.
func givesShell(p string) bool {
	base := path.Base(p)
	for _, n := range [...]string{"python", "perl", "ruby", "node", "php", "lua"} {
		if rest, ok := strings.CutPrefix(base, n); ok && strings.Trim(rest, "0123456789.") == "" {
			return true
		}
	}
	switch base {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "env", "find", "awk", "gawk", "mawk", "vi", "vim", "nano", "less", "more", "cp", "mv", "dd", "tar", "tee",
		"nmap", "gdb", "strace", "docker", "systemctl", "chroot", "nsenter", "unshare", "setpriv", "xargs", "sed", "cat", "rsync", "make", "socat", "tcpdump", "git":
		return true
	}
	return false
}
