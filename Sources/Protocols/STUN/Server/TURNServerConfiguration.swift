package import MartletPrimitives

/// What a TURN server offers, and to whom how much of it.
package struct TURNServerConfiguration: Sendable {
  package var realm = "martlet"
  /// Said in answers to authenticated requests only, as it makes answers larger.
  package var software: String?
  /// Whether relaying is on at all; Binding is always answered.
  package var isRelaying = true
  /// False while the server ends: allocations go on, but none is made.
  package var takesAllocations = true
  /// Where relayed addresses get their ports (RFC 8656 §7.2 wants the dynamic ones).
  package var ports: ClosedRange<UInt16> = 49_152...65_535
  /// TCP relays (RFC 6062) too.
  package var relaysTCP = true
  /// The numbers that clients may bind: those of RFC 8656, or of RFC 5766 too.
  package var channels = ChannelData.channels
  /// Of several that share a port: 0 to 255, said in the numbers of connections.
  package var worker: UInt8 = 0
  /// Answers Bindings without the magic cookie as RFC 3489 had it.
  package var answersClassic = false
  /// Of an allocation whose client asks for less or nothing (RFC 8656 §7.2).
  package var lifetime = TimeSpan.seconds(600)
  package var longestLifetime = TimeSpan.seconds(3600)
  package var limits = Limits()

  package struct Limits: Sendable {
    /// Of one allocation: a permission is 32 bytes, a channel 40.
    package var permissions = 64
    package var channels = 64
    /// Connections to peers of one TCP allocation.
    package var connections = 32
    /// Bytes a second of one allocation in each direction, a burst of a second included; 0 is no limit.
    package var bandwidth = 3_125_000
    /// Refusals that one address (one /64 of IPv6) gets a second before it has shown that it knows a password, and at once.
    package var refusals = 50
    package var refusalBurst = 100
    /// To an address that may be forged, at most this many times the bytes that came from it, with IP and UDP headers.
    package var amplification = 3
    /// Ports that are tried for a relayed address.
    package var portAttempts = 64

    package init() {}
  }

  package init() {}
}
