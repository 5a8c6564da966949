package sensor

import "github.com/dockreeve/dockreeve/event"

// calls, by the numbers of x86-64.
var calls = []call{
	{2, event.TypeOpen, open}, {85, event.TypeCreat, open}, {257, event.TypeOpenat, open}, {437, event.TypeOpenat2, open},
	{42, event.TypeConnect, connect},
	{32, event.TypeDup, dup}, {33, event.TypeDup2, dup}, {292, event.TypeDup3, dup}, {72, event.TypeDup, fcntl},
	{9, event.TypeLoad, mmap},
	{425, event.TypeIoUringSetup, uring},
}
