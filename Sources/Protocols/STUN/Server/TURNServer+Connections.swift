package import MartletPrimitives

// TCP to peers (RFC 6062): Connect, ConnectionAttempt, ConnectionBind.
extension TURNServer {
  /// A client asks for a connection to a peer (§5.2).
  mutating func connect(_ allocation: TURNAllocation, _ request: TURNRequest, now: Instant) throws(TURNRefusal) {
    guard allocation.transport == .tcp, let peer = request.message.xorPeerAddress, peer.port != 0 else {
      throw TURNRefusal(STUNErrorCode.badRequest, reason: "no TCP allocation, or no peer")
    }
    try admit(peer, allocation)
    guard !allocation.connections.contains(where: { connections[$0]?.peer == peer }) else {
      throw TURNRefusal(STUNErrorCode.connectionAlreadyExists)
    }
    guard let relay = allocation.relay(AddressFamily(of: peer.ip)) else { throw TURNRefusal(STUNErrorCode.familyMismatch) }
    guard let id = add(allocation, peer, .connecting(request), now: now) else {
      throw TURNRefusal(STUNErrorCode.insufficientCapacity, reason: "too many connections")
    }
    emit(.connect(id, from: relay.id, to: peer))
  }

  package mutating func connectionDidOpen(_ id: UInt32, now: Instant) {
    guard var connection = connections[id], case .connecting(let request) = connection.state else { return }
    connection.state = .waiting
    connection.expires = now + Self.patience
    connections[id] = connection
    succeed(request, [.connectionID(id)])
  }

  /// It never came about, or has ended.
  package mutating func connectionDidClose(_ id: UInt32, now: Instant) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    connection.allocation.connections.remove(id)
    if case .connecting(let request) = connection.state { refuse(request, STUNErrorCode.connectionFailed, now: now) }
  }

  /// A peer has connected to a relay (§5.3).
  /// - Returns: the connection's number; `nil` when it is to be closed at once.
  package mutating func peerDidConnect(_ peer: SocketAddress, to id: TURNRelayID, now: Instant) -> UInt32? {
    guard let allocation = relays[id], case .open = allocation.state, allocation.isPermitted(peer.ip, now: now),
      let connection = add(allocation, peer, .waiting, now: now)
    else {
      statistics.unpermitted += 1
      return nil
    }
    let transaction = TransactionID(high: UInt32(truncatingIfNeeded: indications.next()), low: indications.next())
    let attempt = STUNMessage(.indication, .connectionAttempt, transaction, [.xorPeerAddress(peer), .connectionID(connection)])
    emit(.transmit(attempt.encoded(fingerprint: false), to: allocation.flow))
    return connection
  }

  // MARK: ConnectionBind (§5.4)

  /// A connection of its own takes one over; whose it is may be known to another worker, which its number names.
  mutating func bindConnection(_ request: TURNRequest, _ account: TURNAccount) throws(TURNRefusal) {
    guard request.flow.isStream, allocations[request.flow] == nil, let id = request.message.connectionID else {
      throw TURNRefusal(STUNErrorCode.badRequest, reason: "no CONNECTION-ID, or no connection of its own")
    }
    emit(.bind(TURNConnectionBind(id: id, username: account.username, user: account.user, request: request)))
  }

  /// Where the connection was made: whether this user may have it. From then on it is the client's.
  package mutating func claimConnection(_ id: UInt32, username: String) -> Bool {
    guard let connection = connections[id], case .waiting = connection.state, connection.allocation.username == username else {
      return false
    }
    connections[id]?.state = .bound
    return true
  }

  /// Where the client's connection is: the answer, behind which the stream is the peer's.
  package mutating func answer(_ bind: TURNConnectionBind, isGranted: Bool, now: Instant) {
    if isGranted {
      succeed(bind.request, [])
    } else {
      refuse(bind.request, TURNRefusal(STUNErrorCode.badRequest, reason: "no such connection"), now: now)
    }
  }

  /// What has passed on a connection since this was said last, `sent` to the peer.
  package mutating func connectionDidCarry(_ id: UInt32, sent: Int, received: Int) {
    guard let allocation = connections[id]?.allocation else { return }
    let carried = TURNUsage(packetsSent: 0, bytesSent: sent, packetsReceived: 0, bytesReceived: received)
    allocation.usage.add(carried)
    if allocations[allocation.flow] !== allocation { statistics.usage.add(carried) }
  }

  // MARK: Ends

  mutating func expireConnections(now: Instant) {
    while let id = connectionDeadlines.popDue(now: now) {
      guard let connection = connections[id] else { continue }
      if case .bound = connection.state { continue }
      guard connection.expires <= now else {
        _ = connectionDeadlines.schedule(at: connection.expires, id)
        continue
      }
      emit(.disconnect(id))
      connectionDidClose(id, now: now)
    }
  }

  /// The driver may have passed more on them than it has said yet.
  mutating func endConnections(of allocation: TURNAllocation) {
    for id in allocation.connections { emit(.disconnect(id)) }
  }

  private mutating func add(
    _ allocation: TURNAllocation, _ peer: SocketAddress, _ state: TURNPeerConnection.State, now: Instant
  ) -> UInt32? {
    guard allocation.connections.count < configuration.limits.connections else { return nil }
    var id: UInt32
    repeat {
      id = UInt32(configuration.worker) << 24 | UInt32(truncatingIfNeeded: random.next()) & 0xFF_FFFF
    } while connections[id] != nil
    let expires = now + Self.patience
    connections[id] = TURNPeerConnection(allocation: allocation, peer: peer, state: state, expires: expires)
    allocation.connections.insert(id)
    _ = connectionDeadlines.schedule(at: expires, id)
    return id
  }

  /// RFC 6062 §5.2, §5.3: to connect, and then to be bound.
  private static let patience = TimeSpan.seconds(30)
}

/// A connection between a relay and a peer.
///
///     connecting ── it is there ──▶ waiting ── ConnectionBind ──▶ bound
struct TURNPeerConnection {
  enum State {
    /// The Connect that asked for it.
    case connecting(TURNRequest)
    case waiting
    case bound
  }

  let allocation: TURNAllocation
  let peer: SocketAddress
  var state: State
  /// Unless it is bound by then.
  var expires: Instant
}

/// A client's claim to a connection of a peer.
package struct TURNConnectionBind: Sendable {
  /// The upper eight bits are the number of the worker that has it.
  package let id: UInt32
  package let username: String
  package let user: String
  let request: TURNRequest

  package var flow: TURNFlow { request.flow }
  package var worker: Int { Int(id >> 24) }
}
