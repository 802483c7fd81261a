package import MartletPrimitives

// What the server says.
extension TURNClient {
  /// One message from the server: a STUN message, or ChannelData.
  package mutating func receive(_ bytes: RawSpan, now: Instant) throws(STUNError) {
    if bytes.byte(at: 0).map({ $0 >= 0x40 }) == true { return receiveChannelData(bytes) }
    do throws(STUNError) {
      let received = try ReceivedSTUNMessage(parsing: bytes)
      switch received.message.kind {
      case .indication: try receiveIndication(received.message)
      case .success, .error: try receiveResponse(received, bytes, now: now)
      case .request: throw .unexpected(.request, received.message.method)
      }
    } catch {
      dropped += 1
      throw error
    }
  }

  private mutating func receiveChannelData(_ bytes: RawSpan) {
    guard let (peer, data) = unwrap(bytes) else { return dropped += 1 }
    raise(.data(Slice(copying: bytes.extracting(data)), from: peer))
  }

  /// RFC 8656 §11.4: indications are not authenticated; data is taken only from peers that were permitted.
  private mutating func receiveIndication(_ message: STUNMessage) throws(STUNError) {
    guard message.method == .data, message.unknownRequired.isEmpty, let peer = message.xorPeerAddress, isPermitted(peer.ip) else {
      throw .unexpected(.indication, message.method)
    }
    for case .icmp(let type, let code, _) in message.attributes { return raise(.icmp(type: type, code: code, peer: peer)) }
    guard let data = message.data else { throw .unexpected(.indication, message.method) }
    raise(.data(data, from: peer))
  }

  private mutating func receiveResponse(_ received: ReceivedSTUNMessage, _ bytes: RawSpan, now: Instant) throws(STUNError) {
    let message = received.message
    guard let index = requests.firstIndex(where: { $0.id == message.transaction }) else { throw .unknownTransaction }
    let request = requests[index]
    let error = message.kind == .error ? message.errorCode ?? STUNErrorCode(STUNErrorCode.badRequest) : nil
    let isChallenge = error.map { [STUNErrorCode.unauthenticated, STUNErrorCode.staleNonce].contains($0.code) } ?? false
    // RFC 8489 §9.2.5: a challenge cannot be authenticated, nor what answers a request without credentials. Everything else
    // that is not authentic is as if it never came.
    if request.isAuthenticated, !isChallenge || received.hasIntegrity {
      guard let key = authentication.key, received.isAuthentic(bytes, key) || isChallenge && !received.hasIntegrity else {
        throw .notAuthentic
      }
    }
    requests.remove(at: index)
    if isChallenge { return answerChallenge(message, error, request, now: now) }
    guard let error else { return succeed(request, message, now: now) }
    if error.code == STUNErrorCode.tryAlternate, request.purpose == .allocate, let server = message.alternateServer {
      return end(.tryAlternate(server))
    }
    if [STUNErrorCode.familyNotSupported, STUNErrorCode.unknownAttribute].contains(error.code), request.purpose == .allocate,
      configuration.family != nil
    {
      // RFC 8656 §7.3; servers of RFC 5766 do not know the attribute.
      configuration.family = nil
      return send(.allocate, challenges: request.challenges, now: now)
    }
    giveUp(request.purpose, error)
  }

  /// RFC 8489 §9.2.5: a second 401 means that the credentials are wrong; 438 only brings a new nonce.
  private mutating func answerChallenge(_ message: STUNMessage, _ error: STUNErrorCode?, _ request: Request, now: Instant) {
    let isRefusal = error?.code == STUNErrorCode.unauthenticated && request.isAuthenticated
    guard !isRefusal, request.challenges < configuration.limits.challenges else { return giveUp(request.purpose, error) }
    guard authentication.take(message) else { return end(.malformedAnswer) }
    send(request.purpose, challenges: request.challenges + 1, now: now)
  }

  private mutating func succeed(_ request: Request, _ message: STUNMessage, now: Instant) {
    switch request.purpose {
    case .allocate:
      guard let relayed = message.xorRelayedAddress else { return end(.malformedAnswer) }
      state = .allocated
      relayedAddress = relayed
      extendAllocation(message, now: now)
      raise(.allocated(relayed: relayed, mapped: message.mappedAddress))
    case .refresh: extendAllocation(message, now: now)
    case .release: break
    case .permit(let ip): extendPermission(ip, now: now)
    case .bind(let peer, _): extendChannel(peer, now: now)
    }
  }

  /// A minute before the end, or halfway through a lifetime too short for that.
  private mutating func extendAllocation(_ message: STUNMessage, now: Instant) {
    let lifetime = TimeSpan.seconds(Int(message.lifetime ?? 600))
    refreshAt = now + max(lifetime - .seconds(60), TimeSpan(nanoseconds: max(lifetime.nanoseconds / 2, TimeSpan.seconds(1).nanoseconds)))
    expiresAt = now + max(lifetime, .seconds(2))
  }

  private mutating func extendPermission(_ ip: IPAddress, now: Instant) {
    guard let index = permissions.firstIndex(where: { $0.ip == ip }) else { return }
    let isNew = permissions[index].expiresAt == nil
    permissions[index].expiresAt = now + Self.permissionLifetime
    permissions[index].refreshAt = now + Self.permissionLifetime - Self.margin
    if isNew { raise(.permitted(ip)) }
  }

  private mutating func extendChannel(_ peer: SocketAddress, now: Instant) {
    guard let index = channels.firstIndex(where: { $0.peer == peer }) else { return }
    let isNew = channels[index].expiresAt == nil
    channels[index].expiresAt = now + Self.channelLifetime
    channels[index].refreshAt = now + Self.channelLifetime - Self.margin
    // RFC 8656 §12: a binding installs a permission too, but one that ends after five minutes, so it is kept by itself.
    permit(peer.ip, now: now)
    if isNew { raise(.channelBound(peer)) }
  }

  /// RFC 8656 §9 and §12.
  private static let permissionLifetime = TimeSpan.seconds(300)
  private static let channelLifetime = TimeSpan.seconds(600)
  private static let margin = TimeSpan.seconds(60)
}
