//go:build unix

package bolt

import "syscall"

var errQuota error = syscall.EDQUOT
