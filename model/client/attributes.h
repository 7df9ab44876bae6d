#pragma once
// This part asks for, keeps and changes attributes, and passes extended attributes through.

#include <string>
#include <string_view>
#include <vector>

#include "model/client/long_texts.h"
#include "model/client/server_opens.h"

namespace xenfs::client {

class Attributes : Part {
  public:
    Attributes(const Shared& shared, PageExchange& exchange, ServerOpens& opens, LongTexts& texts)
        : Part(shared), exchange_(exchange), opens_(opens), texts_(texts) {}

    Result<Attr> getattr(NodeId node) MAY_YIELD;
    Result<Attr> setattr(NodeId node, const SetAttr& change) MAY_YIELD;
    Result<StatFs> statfs() MAY_YIELD;
    Result<std::string> getxattr(NodeId node, std::string_view name) MAY_YIELD;
    int setxattr(NodeId node, std::string_view name, std::string_view value, int flags) MAY_YIELD;
    Result<std::vector<std::string>> listxattr(NodeId node) MAY_YIELD;
    int removexattr(NodeId node, std::string_view name) MAY_YIELD;

    /// Takes over what a reply says of a file, which is a known one from then on. It does not
    /// yield: the caller has made room in the table before (ServerOpens::make_room).
    Node& learn(const protocol::Attr& attr, bool outdated);
    int refresh(Node& node) MAY_YIELD;
    int need_size(Node& node) MAY_YIELD { return node.state.size_known() ? 0 : refresh(node); }
    /// Changes attributes of a node in use. A new size drops this guest's pages behind it first.
    int change(Node& node, const SetAttr& what) MAY_YIELD;

  private:
    int send(Node& node, const SetAttr& change) MAY_YIELD;
    void drop_behind(Node& node, std::uint64_t size);
    void forget(NodeId node);
    /// Reads an extended attribute, or with an empty name the list of all.
    Result<std::string> read_xattr(protocol::Opcode opcode, NodeId node,
                                   std::string_view name) MAY_YIELD;
    PageExchange& exchange_;
    ServerOpens& opens_;
    LongTexts& texts_;
};

}  // namespace xenfs::client
