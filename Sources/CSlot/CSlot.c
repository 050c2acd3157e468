#include "prwlock_slot.h"
