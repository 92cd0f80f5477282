// The header has all there is; a target needs a file to compile.
#include "CMemory.h"
