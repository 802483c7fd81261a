package import MartletPrimitives

/// A relayed address at a TURN server (RFC 8656), from the request for it to its end, over one datagram or stream socket.
///
///     idle ── start ──▶ allocating ── success ──▶ allocated ── close, or any failure ──▶ ended
///
/// The driver gives it every message from the server (a stream cut by `TURNStreamReader`), sends what `pollTransmit` gives,
/// and calls `timeout` at `deadline`. Data takes two shortcuts that allocate nothing: `wrap` out and `unwrap` in.
package struct TURNClient: ~Copyable {
  package enum State: Equatable, Sendable { case idle, allocating, allocated, ended }

  package internal(set) var state = State.idle
  package internal(set) var relayedAddress: SocketAddress?
  /// Messages from the server that were dropped.
  package internal(set) var dropped = 0

  var configuration: TURNConfiguration
  var random: RandomSource
  var authentication: TURNAuthentication
  var requests: [Request] = []
  var refreshAt: Instant?
  /// When the server forgets the allocation.
  var expiresAt: Instant?
  var permissions: [Permission] = []
  var channels: [Channel] = []
  private var transmits = Deque<[UInt8]>()
  private var events = Deque<TURNEvent>()

  /// One request in flight. It is built anew when a challenge is answered.
  struct Request {
    enum Purpose: Equatable { case allocate, refresh, release, permit(IPAddress), bind(SocketAddress, UInt16) }

    let purpose: Purpose
    let id: TransactionID
    let bytes: [UInt8]
    let isAuthenticated: Bool
    let challenges: Int
    var transaction: ClientTransaction
  }

  struct Permission {
    let ip: IPAddress
    /// `nil` until the server has agreed once.
    var expiresAt: Instant?
    var refreshAt: Instant?
  }

  struct Channel {
    let number: UInt16
    let peer: SocketAddress
    var expiresAt: Instant?
    var refreshAt: Instant?
  }

  package init(_ configuration: TURNConfiguration, random: RandomSource) {
    self.configuration = configuration
    self.random = random
    authentication = TURNAuthentication(username: configuration.username, password: configuration.password)
  }

  /// Asks for the allocation.
  package mutating func start(now: Instant) {
    guard state == .idle else { return }
    state = .allocating
    send(.allocate, now: now)
  }

  /// Lets peers at this address send to us, and keeps it so. `false` when there are too many, or no allocation.
  @discardableResult package mutating func permit(_ ip: IPAddress, now: Instant) -> Bool {
    guard state == .allocated else { return false }
    if permissions.contains(where: { $0.ip == ip }) { return true }
    guard permissions.count < configuration.limits.permissions else { return false }
    permissions.append(Permission(ip: ip))
    send(.permit(ip), now: now)
    return true
  }

  /// Binds a channel to this peer, and keeps it so. `false` when there are too many, or no allocation. Until
  /// `.channelBound` comes, data goes in Send indications if the address is permitted.
  @discardableResult package mutating func bindChannel(to peer: SocketAddress, now: Instant) -> Bool {
    guard state == .allocated else { return false }
    if channels.contains(where: { $0.peer == peer }) { return true }
    guard channels.count < configuration.limits.channels, let number = freeChannel else { return false }
    channels.append(Channel(number: number, peer: peer))
    send(.bind(peer, number), now: now)
    return true
  }

  /// Gives the allocation back (RFC 8656 §8: a lifetime of zero) without waiting for the answer.
  package mutating func close(now: Instant) {
    if state == .allocated { send(.release, now: now) }
    end(.closed)
  }

  package mutating func pollTransmit() -> [UInt8]? { transmits.popFirst() }
  package mutating func pollEvent() -> TURNEvent? { events.popFirst() }

  /// Numbers are not used twice by two peers within the ten minutes that the server remembers (RFC 8656 §12): they count up.
  private var freeChannel: UInt16? {
    let next = (channels.map(\.number).max() ?? ChannelData.channels.lowerBound - 1) + 1
    return ChannelData.channels.contains(next) ? next : nil
  }

  mutating func transmit(_ bytes: [UInt8]) {
    guard transmits.count < configuration.limits.queue else { return }
    transmits.append(bytes)
  }

  mutating func raise(_ event: TURNEvent) {
    guard state != .ended else { return }
    // Data is what a peer can flood with; everything else answers one of our own requests.
    if case .data = event, events.count >= configuration.limits.queue { return dropped += 1 }
    events.append(event)
  }

  mutating func end(_ reason: TURNEnd) {
    raise(.ended(reason))
    state = .ended
    relayedAddress = nil
    (refreshAt, expiresAt) = (nil, nil)
    (requests, permissions, channels) = ([], [], [])
  }
}
