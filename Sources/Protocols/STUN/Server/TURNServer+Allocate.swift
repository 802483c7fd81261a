package import MartletPrimitives

// Allocate and Refresh (RFC 8656 §7, §8).
extension TURNServer {
  mutating func allocate(
    _ request: TURNRequest, _ account: TURNAccount, _ key: AuthenticKey, now: Instant
  ) throws(TURNRefusal) {
    if let there = allocations[request.flow] {
      // Sent again, since the answer was lost; while it is being made the answer will do for both.
      guard there.transaction == request.message.transaction, there.username == account.username else {
        throw TURNRefusal(STUNErrorCode.allocationMismatch)
      }
      if case .open = there.state { answer(there, request, now: now) }
      return
    }
    guard configuration.takesAllocations else { throw TURNRefusal(STUNErrorCode.insufficientCapacity, reason: "the server is stopping") }
    let wanted = try AllocateRequest(request.message, flow: request.flow, configuration)
    let lifetime = min(lifetime(request.message), remaining(account, now: now) ?? configuration.longestLifetime)
    let answer = AllocateAnswer(
      transaction: request.message.transaction, key: key, lifetime: lifetime, wantsEvenPort: wanted.evenPort != nil,
      wantsPair: wanted.evenPort == true)
    let allocation = TURNAllocation(request.flow, account, wanted.transport, answer, now: now)
    allocations[request.flow] = allocation
    for family in wanted.families {
      allocation.relays.append(TURNAllocation.Relay(id: relays.insert(allocation), family: family))
    }
    if answer.wantsPair { allocation.reservation = random.next() }
    openNext(allocation, reserved: wanted.reservation)
  }

  /// Asks for the socket that is missing.
  private mutating func openNext(_ allocation: TURNAllocation, reserved: UInt64? = nil) {
    guard case .opening(var answer) = allocation.state, let relay = allocation.relays.first(where: { $0.address == nil }) else { return }
    let source: TURNRelayRequest.Source
    if let reserved {
      source = .reserved(token: reserved)
    } else {
      let port = port(answer)
      source = allocation.reservation.map { .pair(port, token: $0) } ?? .port(port)
    }
    answer.attempts += 1
    allocation.state = .opening(answer)
    emit(
      .open(
        TURNRelayRequest(
          id: relay.id, transport: allocation.transport, family: relay.family, source: source, user: allocation.user,
          client: allocation.flow.remote.ip)))
  }

  /// Drawn at random, so that nobody guesses where a relay is; where most are taken, those behind the last one.
  private mutating func port(_ answer: AllocateAnswer) -> UInt16 {
    let (lower, upper) = (Int(configuration.ports.lowerBound), Int(configuration.ports.upperBound))
    guard answer.wantsEvenPort else { return UInt16(clamping: Int.random(in: lower...upper, using: &random)) }
    let first = lower + (lower & 1)
    let pairs = max(1, (upper - (answer.wantsPair ? 1 : 0) - first) / 2 + 1)
    return UInt16(clamping: first + 2 * Int.random(in: 0..<pairs, using: &random))
  }

  /// The socket of `id` is there; peers see it at `address`.
  package mutating func relayDidOpen(_ id: TURNRelayID, at address: SocketAddress, now: Instant) {
    guard let allocation = relays[id], case .opening(var answer) = allocation.state,
      let index = allocation.relays.firstIndex(where: { $0.id == id })
    else { return emit(.close(id)) }
    allocation.relays[index].address = address
    allocation.relays[index].family = AddressFamily(of: address.ip)
    guard allocation.relays.allSatisfy({ $0.address != nil }) else {
      answer.attempts = 0
      allocation.state = .opening(answer)
      return openNext(allocation)
    }
    open(allocation, answer, now: now)
  }

  package mutating func relayDidFail(_ id: TURNRelayID, _ failure: TURNRelayFailure, now: Instant) {
    guard let allocation = relays[id], case .opening(let answer) = allocation.state,
      let relay = allocation.relays.first(where: { $0.id == id })
    else { return }
    if failure == .portTaken, answer.attempts < configuration.limits.portAttempts { return openNext(allocation) }
    let error = STUNErrorCode(failure.code)
    guard allocation.relays.count > 1 else {
      var request = self.request(answer, allocation)
      request.user = allocation.user
      end(allocation, .closed)
      return refuse(request, TURNRefusal(failure.code, reason: failure.reason), now: now)
    }
    // RFC 8656 §7.2: one of two families is enough.
    allocation.addressError = (relay.family, error)
    allocation.relays.removeAll { $0.id == id }
    relays.remove(id)
    if allocation.relays.allSatisfy({ $0.address != nil }) { open(allocation, answer, now: now) } else { openNext(allocation) }
  }

  private mutating func open(_ allocation: TURNAllocation, _ answer: AllocateAnswer, now: Instant) {
    guard let first = allocation.relays.first else { return }
    allocation.state = .open
    allocation.expires = now + answer.lifetime
    _ = deadlines.schedule(at: allocation.expires, first.id)
    statistics.allocations += 1
    emit(.event(.allocated(first.id)))
    self.answer(allocation, request(answer, allocation), now: now)
  }

  private func request(_ answer: AllocateAnswer, _ allocation: TURNAllocation) -> TURNRequest {
    var request = TURNRequest(STUNMessage(.request, .allocate, answer.transaction), from: allocation.flow, byteCount: 0)
    request.key = answer.key
    return request
  }

  private mutating func answer(_ allocation: TURNAllocation, _ request: TURNRequest, now: Instant) {
    var attributes = allocation.relays.compactMap(\.address).map { STUNAttribute.xorRelayedAddress($0) }
    if let (family, error) = allocation.addressError { attributes.append(.addressErrorCode(family, error)) }
    attributes += [.lifetime(Self.seconds(allocation.expires - now)), .xorMappedAddress(allocation.flow.remote)]
    if let token = allocation.reservation { attributes.append(.reservationToken(token)) }
    succeed(request, attributes)
  }

  // MARK: Refresh

  mutating func refresh(_ allocation: TURNAllocation, _ request: TURNRequest, _ account: TURNAccount, now: Instant) throws(TURNRefusal) {
    let family = request.message.requestedAddressFamily
    if let family, allocation.relay(family) == nil { throw TURNRefusal(STUNErrorCode.familyMismatch) }
    guard request.message.lifetime == 0 else {
      let lifetime = min(lifetime(request.message), remaining(account, now: now) ?? configuration.longestLifetime)
      allocation.expires = now + lifetime
      return succeed(request, [.lifetime(Self.seconds(lifetime))])
    }
    succeed(request, [.lifetime(0)])
    // RFC 8656 §8.2: one family of two may be given back alone.
    guard let family, allocation.relays.count > 1, let relay = allocation.relay(family) else { return end(allocation, .released) }
    let isFirst = allocation.relays.first?.id == relay.id
    allocation.relays.removeAll { $0.id == relay.id }
    close(relay)
    if isFirst, let other = allocation.relays.first { _ = deadlines.schedule(at: allocation.expires, other.id) }
  }

  /// RFC 8656 §7.2: at least the default, at most the longest.
  private func lifetime(_ message: STUNMessage) -> TimeSpan {
    guard let wanted = message.lifetime else { return configuration.lifetime }
    return min(max(.seconds(Int(wanted)), configuration.lifetime), configuration.longestLifetime)
  }

  private func remaining(_ account: TURNAccount, now: Instant) -> TimeSpan? {
    account.expires.map { .seconds(Int(max(1, $0 - unixTime(now)))) }
  }

  private static func seconds(_ span: TimeSpan) -> UInt32 { UInt32(clamping: span.nanoseconds / 1_000_000_000) }
}

extension TURNRelayFailure {
  fileprivate var code: Int {
    switch self {
    case .portTaken, .unavailable: STUNErrorCode.insufficientCapacity
    case .noAddress: STUNErrorCode.familyNotSupported
    case .quota: STUNErrorCode.quotaReached
    }
  }

  fileprivate var reason: String {
    switch self {
    case .portTaken: "no port is free"
    case .unavailable: "no relay is available"
    case .noAddress: "no address of this family"
    case .quota: "the quota of allocations is reached"
    }
  }
}
