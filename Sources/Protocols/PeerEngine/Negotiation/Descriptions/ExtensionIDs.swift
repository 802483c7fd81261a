package import MartletRTP
package import MartletSDP

/// The ids of header extensions, which mean one thing in a bundle (RFC 8843 §9.1) and stay (RFC 8285 §8).
struct ExtensionIDs {
  private var ids: [String: UInt16] = [:]
  private var taken: Set<UInt16> = []

  /// - Parameter sessions: where ids were given, the most important first.
  init(_ sessions: [SessionDescription]) {
    for section in sessions.lazy.flatMap(\.media) where section.transport.isRTP && !section.isRejected {
      for map in section.extensions where taken.insert(map.id).inserted && ids[map.uri] == nil { ids[map.uri] = map.id }
    }
  }

  /// What to offer. An extension for which one-byte headers have no id left drops out.
  mutating func offer(_ extensions: [HeaderExtensionKind: MediaDirection]) -> [ExtensionMap] {
    HeaderExtensionKind.allCases.compactMap { kind in
      guard let direction = extensions[kind], direction != .inactive, let id = id(of: kind.uri) else { return nil }
      return ExtensionMap(id: id, direction: direction == .sendrecv ? nil : direction, uri: kind.uri)
    }
  }

  private mutating func id(of uri: String) -> UInt16? {
    if let known = ids[uri] { return known }
    guard let free = (1...14).first(where: { !taken.contains($0) }) else { return nil }
    taken.insert(free)
    ids[uri] = free
    return free
  }
}

extension HeaderExtensions {
  /// The ids of `maps`, both ways.
  package init(_ maps: [ExtensionMap]) {
    self.init()
    for map in maps {
      if let kind = HeaderExtensionKind(uri: map.uri), let id = UInt8(exactly: map.id) { register(kind, id: id) }
    }
  }
}
