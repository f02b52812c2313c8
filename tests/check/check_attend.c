#include "check.h"
const ck_case ck_attend_cases[] = {{0}};
