package import MartletPrimitives

package enum ICETransport: UInt8, Sendable { case udp, tcp }

/// RFC 6544 §4.5: who opens the connection. `simultaneousOpen` is read and written but not checked.
package enum ICETCPType: String, Sendable {
  case active, passive
  case simultaneousOpen = "so"
}

package enum ICECandidateType: String, Sendable {
  case host
  case serverReflexive = "srflx"
  case peerReflexive = "prflx"
  case relayed = "relay"
}

/// A host by address, or by a name that the driver resolves: browsers hide their addresses behind mDNS names (`….local`).
package enum ICEHost: Hashable, Sendable, CustomStringConvertible {
  case ip(IPAddress)
  case name(String)

  package var description: String {
    switch self {
    case .ip(let ip): ip.description
    case .name(let name): name
    }
  }
}

/// Where a peer may be reached, as it is signalled (RFC 8839 §5.1).
package struct ICECandidate: Equatable, Sendable {
  package struct Related: Equatable, Sendable {
    package var host: ICEHost
    package var port: UInt16

    package init(_ host: ICEHost, _ port: UInt16) {
      self.host = host
      self.port = port
    }
  }

  package struct Extension: Equatable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Equal for candidates whose checks succeed or fail together (RFC 8445 §5.1.1.3).
  package var foundation: String
  /// 1 is RTP, and everything with rtcp-mux and BUNDLE; the agent uses no other.
  package var component: Int
  package var transport: ICETransport
  package var priority: UInt32
  package var host: ICEHost
  package var port: UInt16
  package var type: ICECandidateType
  /// For a person who looks for an error: the base of a reflexive candidate, what a relayed one is mapped to.
  package var related: Related?
  package var tcpType: ICETCPType?
  /// `generation`, `ufrag`, `network-cost` and whatever else stood behind, in order.
  package var extensions: [Extension] = []

  package init(
    foundation: String, component: Int = 1, transport: ICETransport = .udp, priority: UInt32, host: ICEHost, port: UInt16,
    type: ICECandidateType, related: Related? = nil, tcpType: ICETCPType? = nil
  ) {
    self.foundation = foundation
    self.component = component
    self.transport = transport
    self.priority = priority
    self.host = host
    self.port = port
    self.type = type
    self.related = related
    self.tcpType = tcpType
  }

  /// `nil` while the host is only a name.
  package var address: SocketAddress? {
    if case .ip(let ip) = host { SocketAddress(ip: ip, port: port) } else { nil }
  }

  /// The same candidate once its name is resolved.
  package func resolved(to ip: IPAddress) -> ICECandidate {
    var candidate = self
    candidate.host = .ip(ip)
    return candidate
  }

  /// Alike in all but the host.
  func resembles(_ other: ICECandidate) -> Bool {
    var candidate = self
    candidate.host = other.host
    return candidate == other
  }

  /// The fragment of the generation it belongs to (RFC 8839 §5.1, `ufrag`).
  package var fragment: String? { extensions.first { $0.name == "ufrag" }?.value }
}
