/* HTTP/2 without I/O (libnghttp2-dev). Only code under the trait Etcd imports this. */

#ifndef NGHTTP2_SHIM_H
#define NGHTTP2_SHIM_H

#include <nghttp2/nghttp2.h>

#endif
