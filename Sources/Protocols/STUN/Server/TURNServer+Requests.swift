package import MartletPrimitives

// What clients send: told apart, authenticated, answered.
extension TURNServer {
  /// One message of a client.
  /// - Returns: what is to be sent to a peer, from the bytes given.
  package mutating func receive(_ bytes: RawSpan, from flow: TURNFlow, now: Instant) -> TURNForward? {
    if let first = bytes.byte(at: 0), first >= 0x40 { return forwardChannelData(bytes, from: flow, now: now) }
    if let send = SendIndication(bytes) { return forward(send, bytes, from: flow, now: now) }
    guard STUN.isMessage(bytes) else {
      answerClassic(bytes, from: flow)
      return nil
    }
    do throws(STUNError) {
      let message = try ReceivedSTUNMessage(parsing: bytes)
      // Send indications have been taken above; a client has nothing else to tell (RFC 8489 §6.3.2: Binding is a keep-alive).
      guard message.message.kind == .request else { return nil }
      answer(message, bytes, from: flow, now: now)
    } catch {
      statistics.malformed += 1
    }
    return nil
  }

  private mutating func answer(_ received: ReceivedSTUNMessage, _ bytes: RawSpan, from flow: TURNFlow, now: Instant) {
    let request = TURNRequest(received.message, from: flow, byteCount: bytes.byteCount)
    let unknown = request.message.unknownRequired
    if request.message.method == .binding { return answerBinding(request, unknown, received.hasFingerprint, now: now) }
    guard Self.methods.contains(request.message.method) else { return statistics.malformed += 1 }
    guard configuration.isRelaying else { return refuse(request, STUNErrorCode.forbidden, now: now) }
    let authentic: (TURNAccount, AuthenticKey)
    do throws(TURNRefusal) { authentic = try authenticate(received, bytes, request, now: now) } catch {
      return refuse(request, error, now: now)
    }
    let (account, key) = authentic
    var known = request
    (known.key, known.user) = (key, account.user)
    guard unknown.isEmpty else {
      return refuse(known, TURNRefusal(STUNErrorCode.unknownAttribute, [.unknownAttributes(Array(unknown.prefix(32)))]), now: now)
    }
    do throws(TURNRefusal) { try serve(known, account, key, now: now) } catch { refuse(known, error, now: now) }
  }

  private static let methods: Set<STUNMethod> = [.allocate, .refresh, .createPermission, .channelBind, .connect, .connectionBind]

  private mutating func serve(
    _ request: TURNRequest, _ account: TURNAccount, _ key: AuthenticKey, now: Instant
  ) throws(TURNRefusal) {
    if request.message.method == .allocate { return try allocate(request, account, key, now: now) }
    if request.message.method == .connectionBind { return try bindConnection(request, account) }
    guard let allocation = allocations[request.flow], case .open = allocation.state else {
      throw TURNRefusal(STUNErrorCode.allocationMismatch)
    }
    // RFC 8656 §5: an allocation is changed by who made it alone.
    guard allocation.username == account.username else { throw TURNRefusal(STUNErrorCode.wrongCredentials) }
    switch request.message.method {
    case .refresh: try refresh(allocation, request, account, now: now)
    case .createPermission: try createPermission(allocation, request, now: now)
    case .channelBind: try bindChannel(allocation, request, now: now)
    default: try connect(allocation, request, now: now)
    }
  }

  // MARK: Binding

  /// Not authenticated and not counted: an answer is hardly larger than what asks for it.
  private mutating func answerBinding(_ request: TURNRequest, _ required: [UInt16], _ hasFingerprint: Bool, now: Instant) {
    let discovery = addresses(of: request.flow)
    let unknown = required + (discovery == nil ? request.message.discoveryAttributes : [])
    guard unknown.isEmpty else {
      return refuse(request, TURNRefusal(STUNErrorCode.unknownAttribute, [.unknownAttributes(Array(unknown.prefix(4)))]), now: now)
    }
    statistics.bindings += 1
    var answer = STUNMessage(.success, .binding, request.message.transaction, [.xorMappedAddress(request.flow.remote)])
    guard let discovery else { return emit(.transmit(answer.encoded(fingerprint: hasFingerprint), to: request.flow)) }
    switch discovery.reply(to: request.message, from: request.flow.remote, at: discovery.all[Int(request.flow.path)]) {
    case .failure(let refusal): refuse(request, TURNRefusal(STUNErrorCode.badRequest, reason: refusal.reason), now: now)
    case .success(let reply):
      answer.attributes += reply.attributes
      let path = UInt32(discovery.all.firstIndex(of: reply.from) ?? 0)
      emit(.transmit(answer.encoded(fingerprint: hasFingerprint), to: TURNFlow(remote: reply.to, path: path, isStream: false)))
    }
  }

  /// Of a flow over one of the four sockets of behaviour discovery, whose paths are the places of their addresses.
  private func addresses(of flow: TURNFlow) -> DiscoveryAddresses? {
    guard let discovery, !flow.isStream, Int(flow.path) < discovery.all.count else { return nil }
    return discovery
  }

  /// RFC 3489 had no magic cookie: the 16 bytes there are its transaction, and MAPPED-ADDRESS is in the clear.
  private mutating func answerClassic(_ bytes: RawSpan, from flow: TURNFlow) {
    guard configuration.answersClassic, !flow.isStream, let answer = ClassicBinding.answer(to: bytes, from: flow.remote) else {
      return statistics.malformed += 1
    }
    statistics.bindings += 1
    emit(.transmit(answer, to: flow))
  }

  // MARK: Answers

  mutating func succeed(_ request: TURNRequest, _ attributes: [STUNAttribute]) {
    let software = configuration.software.map { [STUNAttribute.software($0)] } ?? []
    let answer = STUNMessage(.success, request.message.method, request.message.transaction, attributes + software)
    emit(.transmit(encoded(answer, request.key), to: request.flow))
  }

  mutating func refuse(_ request: TURNRequest, _ code: Int, now: Instant) { refuse(request, TURNRefusal(code), now: now) }

  mutating func refuse(_ request: TURNRequest, _ refusal: TURNRefusal, now: Instant) {
    let isKnown = request.key != nil
    let error = STUNErrorCode(refusal.code, isKnown ? refusal.reason : "")
    var attributes: [STUNAttribute] = [.errorCode(error)]
    if refusal.isChallenge { attributes += challenge(request.flow, now: now) }
    let answer = STUNMessage(.error, request.message.method, request.message.transaction, attributes + refusal.attributes)
    let bytes = encoded(answer, request.key)
    count(refusal, request)
    guard isKnown || mayRefuse(request, with: bytes.count, now: now) else { return statistics.withheld += 1 }
    emit(.transmit(bytes, to: request.flow))
  }

  private mutating func count(_ refusal: TURNRefusal, _ request: TURNRequest) {
    if refusal.isChallenge, !refusal.isWorthTelling { return statistics.challenges += 1 }
    statistics.refusals[refusal.code, default: 0] += 1
    emit(.event(.refused(STUNErrorCode(refusal.code, refusal.detail), request.message.method, from: request.flow, user: request.user)))
  }

  /// To an address that may be somebody else's, little and not much more than came from there.
  private mutating func mayRefuse(_ request: TURNRequest, with count: Int, now: Instant) -> Bool {
    guard refusals.admits(request.flow.remote.ip, configuration.limits, now: now) else { return false }
    let headers = if case .v4 = request.flow.remote.ip { 28 } else { 48 }
    return request.flow.isStream || count + headers <= configuration.limits.amplification * (request.byteCount + headers)
  }

  private func encoded(_ message: STUNMessage, _ key: AuthenticKey?) -> [UInt8] {
    guard let key else { return message.encoded(fingerprint: false) }
    return message.encoded(key: key.key, integrity: key.integrity)
  }
}

/// A request and what its answer needs of it.
struct TURNRequest {
  let message: STUNMessage
  let flow: TURNFlow
  let byteCount: Int
  /// Of the account that has made it, once that is known.
  var key: AuthenticKey?
  var user: String?

  init(_ message: STUNMessage, from flow: TURNFlow, byteCount: Int) {
    self.message = message
    self.flow = flow
    self.byteCount = byteCount
  }
}

/// Why a request is not served.
struct TURNRefusal: Error {
  let code: Int
  var attributes: [STUNAttribute] = []
  /// For the client, once it is known.
  var reason = ""
  /// For the log.
  var detail = ""
  /// A first request without credentials is no event.
  var isWorthTelling = true

  init(_ code: Int, _ attributes: [STUNAttribute] = [], reason: String = "", detail: String = "") {
    self.code = code
    self.attributes = attributes
    self.reason = reason
    self.detail = detail.isEmpty ? reason : detail
  }

  var isChallenge: Bool { code == STUNErrorCode.unauthenticated || code == STUNErrorCode.staleNonce }
}
