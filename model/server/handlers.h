#pragma once
// The handlers of all operations, by family.

#include <tuple>

#include "model/server/names.h"
#include "model/server/page_requests.h"
#include "model/server/range_requests.h"
#include "model/server/returns.h"
#include "model/server/texts.h"
#include "model/server/xattr.h"

namespace xenfs::server {

using Handlers = std::tuple<Names&, Attributes&, OpenRequests&, PageRequests&, RangeRequests&,
                            Xattrs&, Balloon&, LockRequests&, Returns&, Texts&>;

template <class Family>
Family& family_of(int (Family::*)(Request&));

/// Calls the handler of one operation.
template <auto handler>
int call(Handlers& handlers, Request& q) MAY_YIELD {
    return (std::get<decltype(family_of(handler))>(handlers).*handler)(q);
}

}  // namespace xenfs::server
