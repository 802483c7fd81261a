internal import MartletPrimitives

/// What one client has: relayed addresses, who may send to them, and how much passed.
///
///     opening(request) ── sockets are there ──▶ open ── lifetime, release, connection's end ──▶ (removed)
final class TURNAllocation {
  enum State {
    /// The sockets are not all there: how it is answered then.
    case opening(AllocateAnswer)
    case open
  }

  struct Relay {
    let id: TURNRelayID
    /// Of a socket that was kept, its own, known once it is there.
    var family: AddressFamily
    /// As peers see it; `nil` until it is open.
    var address: SocketAddress?
  }

  struct Permission {
    let ip: IPAddress
    var expires: Instant
  }

  struct Channel {
    let number: UInt16
    let peer: SocketAddress
    var expires: Instant
  }

  let flow: TURNFlow
  let username: String
  let user: String
  let grant: TURNGrant?
  let transport: TURNRelayTransport
  /// Of the Allocate, which may come again (RFC 8656 §7.2).
  let transaction: TransactionID
  let since: Instant
  var state: State
  var expires = Instant.distantFuture
  var relays: [Relay] = []
  var reservation: UInt64?
  /// The family that was asked for besides, and could not be had (RFC 8656 §7.2).
  var addressError: (AddressFamily, STUNErrorCode)?
  /// To peers, of a TCP allocation.
  var connections: Set<UInt32> = []
  private(set) var permissions: [Permission] = []
  private(set) var channels: [Channel] = []
  private var upstream = RatePolicer()
  private var downstream = RatePolicer()
  var usage = TURNUsage()

  init(_ flow: TURNFlow, _ account: TURNAccount, _ transport: TURNRelayTransport, _ answer: AllocateAnswer, now: Instant) {
    self.flow = flow
    username = account.username
    user = account.user
    grant = account.grant
    self.transport = transport
    transaction = answer.transaction
    state = .opening(answer)
    since = now
  }

  var isOpen: Bool { if case .open = state { true } else { false } }

  func relay(_ family: AddressFamily) -> Relay? { relays.first { $0.family == family } }

  // MARK: Permissions (RFC 8656 §9)

  func isPermitted(_ ip: IPAddress, now: Instant) -> Bool { permissions.contains { $0.ip == ip && $0.expires > now } }

  /// False when there are as many as there may be.
  func permit(_ ip: IPAddress, until expires: Instant, limit: Int, now: Instant) -> Bool {
    if let index = permissions.firstIndex(where: { $0.ip == ip }) {
      permissions[index].expires = expires
      return true
    }
    if permissions.count >= limit { permissions.removeAll { $0.expires <= now } }
    guard permissions.count < limit else { return false }
    permissions.append(Permission(ip: ip, expires: expires))
    return true
  }

  /// How many of these have a place.
  func hasRoom(for addresses: [IPAddress], limit: Int, now: Instant) -> Bool {
    let kept = permissions.filter { $0.expires > now || addresses.contains($0.ip) }.map(\.ip)
    return Set(kept + addresses).count <= limit
  }

  // MARK: Channels (RFC 8656 §12)

  func channel(_ number: UInt16, now: Instant) -> Channel? { channels.first { $0.number == number && $0.expires > now } }
  func channel(to peer: SocketAddress, now: Instant) -> Channel? { channels.first { $0.peer == peer && $0.expires > now } }

  /// To be called when neither number nor peer is bound otherwise. False when there are as many as there may be.
  func bind(_ number: UInt16, to peer: SocketAddress, until expires: Instant, limit: Int, now: Instant) -> Bool {
    if let index = channels.firstIndex(where: { $0.number == number && $0.peer == peer }) {
      channels[index].expires = expires
      return true
    }
    channels.removeAll { $0.expires <= now }
    guard channels.count < limit else { return false }
    channels.append(Channel(number: number, peer: peer, expires: expires))
    return true
  }

  // MARK: What passes

  func sends(_ count: Int, bandwidth: Int, now: Instant) -> Bool {
    guard admits(count, to: &upstream, bandwidth, now) else { return false }
    usage.packetsSent &+= 1
    usage.bytesSent &+= count
    return true
  }

  func receives(_ count: Int, bandwidth: Int, now: Instant) -> Bool {
    guard admits(count, to: &downstream, bandwidth, now) else { return false }
    usage.packetsReceived &+= 1
    usage.bytesReceived &+= count
    return true
  }

  private func admits(_ count: Int, to direction: inout RatePolicer, _ bandwidth: Int, _ now: Instant) -> Bool {
    if bandwidth == 0 || direction.take(count, rate: bandwidth, now: now) { return true }
    usage.dropped &+= 1
    return false
  }
}

/// What an allocation has carried. Sent is from the client to peers.
package struct TURNUsage: Equatable, Sendable {
  package internal(set) var packetsSent = 0, bytesSent = 0
  package internal(set) var packetsReceived = 0, bytesReceived = 0
  /// Over its bandwidth.
  package internal(set) var dropped = 0
}

/// How an Allocate is answered once its sockets are there.
struct AllocateAnswer {
  let transaction: TransactionID
  let key: AuthenticKey
  let lifetime: TimeSpan
  /// What was asked for of ports.
  let wantsEvenPort: Bool
  let wantsPair: Bool
  /// How many ports were tried for the relay that is being opened.
  var attempts = 0
}

/// What an authenticated request was made with, which its answer is made with too.
struct AuthenticKey: Sendable {
  let key: STUNKey
  let integrity: STUNIntegrity
}
