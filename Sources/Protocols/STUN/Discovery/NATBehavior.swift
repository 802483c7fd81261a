package import MartletPrimitives

/// What stands between us and the internet, as far as UDP can tell (RFC 4787 §4, §5, in the words of RFC 5780 §4).
package struct NATBehavior: Equatable, Sendable {
  package enum Mapping: String, Sendable {
    /// Our address is what others see: nothing is translated.
    case direct
    /// One outside address for a socket of ours, whomever it talks to.
    case endpointIndependent = "endpoint-independent"
    /// One for each address that it talks to.
    case addressDependent = "address-dependent"
    /// One for each address and port.
    case addressAndPortDependent = "address-and-port-dependent"
  }

  package enum Filtering: String, Sendable {
    /// Whoever knows the outside address comes in.
    case endpointIndependent = "endpoint-independent"
    /// Whom we have sent to comes in, from any port.
    case addressDependent = "address-dependent"
    /// Only from where we have sent to.
    case addressAndPortDependent = "address-and-port-dependent"
  }

  /// How the server sees our socket; `nil` when no answer came: UDP does not get through.
  package var mapped: SocketAddress?
  /// `nil` when the server has no second address to ask from, or could not be reached there.
  package var mapping: Mapping?
  /// `nil` when the server cannot answer from elsewhere.
  package var filtering: Filtering?
  /// Whether what we send to our own outside address comes back (RFC 4787 §6); `nil` without one.
  package var hairpins: Bool?

  package init(mapped: SocketAddress? = nil, mapping: Mapping? = nil, filtering: Filtering? = nil, hairpins: Bool? = nil) {
    (self.mapped, self.mapping, self.filtering, self.hairpins) = (mapped, mapping, filtering, hairpins)
  }

  /// The names of RFC 3489 §5 that people go on using.
  package var classicName: String {
    guard mapped != nil else { return "UDP is blocked" }
    switch (mapping, filtering) {
    case (.direct, .endpointIndependent): return "open internet"
    case (.direct, nil): return "no NAT"
    case (.direct, _): return "firewall without NAT"
    case (.endpointIndependent, .endpointIndependent): return "full cone NAT"
    case (.endpointIndependent, .addressDependent): return "restricted cone NAT"
    case (.endpointIndependent, .addressAndPortDependent): return "port-restricted cone NAT"
    case (.endpointIndependent, nil): return "cone NAT"
    case (.addressDependent, _), (.addressAndPortDependent, _): return "symmetric NAT"
    case (nil, _): return "NAT"
    }
  }
}
