package sensor

import "github.com/dockreeve/dockreeve/event"

// calls, by the numbers of arm64, which has neither open, creat nor dup2.
var calls = []call{
	{56, event.TypeOpenat, open}, {437, event.TypeOpenat2, open},
	{203, event.TypeConnect, connect},
	{23, event.TypeDup, dup}, {24, event.TypeDup3, dup}, {25, event.TypeDup, fcntl},
	{222, event.TypeLoad, mmap},
	{425, event.TypeIoUringSetup, uring},
}
