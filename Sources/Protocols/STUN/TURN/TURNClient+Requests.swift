package import MartletPrimitives

// What is asked of the server, when it is asked again, and what keeps allocation, permissions and channels alive.
extension TURNClient {
  /// When to call `timeout`; `nil` when nothing is awaited.
  package var deadline: Instant? {
    var earliest = Instant.earliest(refreshAt, expiresAt)
    for request in requests { earliest = .earliest(earliest, request.transaction.deadline) }
    for permission in permissions { earliest = .earliest(earliest, permission.refreshAt) }
    for channel in channels { earliest = .earliest(earliest, channel.refreshAt) }
    return earliest
  }

  /// Sends again what was not answered, gives up what never was, and refreshes what would expire.
  package mutating func timeout(now: Instant) {
    var unanswered: [Request.Purpose] = []
    for index in requests.indices {
      switch requests[index].transaction.timeout(now: now) {
      case .none: break
      case .transmit: transmit(requests[index].bytes)
      case .failed: unanswered.append(requests[index].purpose)
      }
    }
    requests.removeAll { $0.transaction.deadline == nil }
    for purpose in unanswered { giveUp(purpose, nil) }
    if let expiresAt, expiresAt <= now { return end(.noAnswer) }
    if let due = refreshAt, due <= now {
      refreshAt = nil
      send(.refresh, now: now)
    }
    refreshPermissions(now: now)
    refreshChannels(now: now)
  }

  private mutating func refreshPermissions(now: Instant) {
    for index in permissions.indices {
      guard let due = permissions[index].refreshAt, due <= now else { continue }
      permissions[index].refreshAt = nil
      send(.permit(permissions[index].ip), now: now)
    }
  }

  private mutating func refreshChannels(now: Instant) {
    for index in channels.indices {
      guard let due = channels[index].refreshAt, due <= now else { continue }
      channels[index].refreshAt = nil
      send(.bind(channels[index].peer, channels[index].number), now: now)
    }
  }

  mutating func send(_ purpose: Request.Purpose, challenges: Int = 0, now: Instant) {
    let id = TransactionID(random: &random)
    let (method, attributes) = content(of: purpose)
    let message = STUNMessage(.request, method, id, attributes + authentication.attributes)
    let bytes = message.encoded(key: authentication.key, integrity: authentication.integrity)
    transmit(bytes)
    // A release is not waited for.
    guard purpose != .release else { return }
    requests.append(
      Request(
        purpose: purpose, id: id, bytes: bytes, isAuthenticated: authentication.isChallenged, challenges: challenges,
        transaction: ClientTransaction(configuration.schedule, now: now)))
  }

  private func content(of purpose: Request.Purpose) -> (STUNMethod, [STUNAttribute]) {
    let lifetime = STUNAttribute.lifetime(UInt32(clamping: configuration.lifetime.milliseconds / 1000))
    switch purpose {
    case .allocate:
      let family = configuration.family.map { [STUNAttribute.requestedAddressFamily($0)] } ?? []
      return (.allocate, [.requestedTransport(17), lifetime] + family)
    case .refresh: return (.refresh, [lifetime])
    case .release: return (.refresh, [.lifetime(0)])
    // RFC 8656 §9: the port of the peer does not matter.
    case .permit(let ip): return (.createPermission, [.xorPeerAddress(SocketAddress(ip: ip, port: 0))])
    case .bind(let peer, let number): return (.channelBind, [.channelNumber(number), .xorPeerAddress(peer)])
    }
  }

  /// The request was refused (`error`) or never answered. Only the allocation itself is worth ending everything.
  mutating func giveUp(_ purpose: Request.Purpose, _ error: STUNErrorCode?) {
    switch purpose {
    case .allocate, .refresh, .release: end(error.map { .refused($0) } ?? .noAnswer)
    case .permit(let ip):
      permissions.removeAll { $0.ip == ip }
      raise(.refused(ip, error ?? STUNErrorCode(0, "no answer")))
    case .bind(let peer, _):
      channels.removeAll { $0.peer == peer }
      raise(.refused(peer.ip, error ?? STUNErrorCode(0, "no answer")))
    }
  }
}
