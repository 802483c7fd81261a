internal import MartletPrimitives

// The long-term credential mechanism from the server's side (RFC 8489 §9.2.4).
extension TURNServer {
  /// The account that a request was made by, and with what.
  func authenticate(
    _ received: ReceivedSTUNMessage, _ bytes: RawSpan, _ request: TURNRequest, now: Instant
  ) throws(TURNRefusal) -> (TURNAccount, AuthenticKey) {
    let message = received.message
    guard let integrity = received.integrity else {
      var challenge = TURNRefusal(STUNErrorCode.unauthenticated)
      challenge.isWorthTelling = false
      throw challenge
    }
    guard message.username != nil || message.userhash != nil, let realm = message.realm, let nonce = message.nonce else {
      throw TURNRefusal(STUNErrorCode.badRequest)
    }
    let verdict = nonces.verify(Array(nonce.utf8).span.bytes, from: Self.address(request.flow), now: now)
    let algorithm = try algorithm(message, verdict)
    let account = try account(message, now: now)
    // With another realm than ours there is no telling what the key was made of.
    guard realm == configuration.realm, let key = key(of: account, algorithm, received, bytes) else {
      throw TURNRefusal(STUNErrorCode.unauthenticated, detail: "user \(account.user): wrong password")
    }
    guard verdict == .valid else {
      var stale = TURNRefusal(STUNErrorCode.staleNonce)
      stale.isWorthTelling = false
      throw stale
    }
    return (account, AuthenticKey(key: key, integrity: integrity))
  }

  /// What a 401 or 438 carries.
  func challenge(_ flow: TURNFlow, now: Instant) -> [STUNAttribute] {
    let nonce = String(decoding: nonces.issue(to: Self.address(flow), now: now), as: UTF8.self)
    return [.realm(configuration.realm), .nonce(nonce), .passwordAlgorithms(Self.algorithms)]
  }

  /// Over a stream the handshake has shown the address, and a data connection (RFC 6062 §4.3) has another port.
  private static func address(_ flow: TURNFlow) -> SocketAddress {
    flow.isStream ? SocketAddress(ip: flow.remote.ip, port: 0) : flow.remote
  }

  private static let algorithms = [PasswordAlgorithm.sha256, .md5]

  /// Both attributes or none; the list as it was sent, so that nobody has weakened it on the way.
  private func algorithm(_ message: STUNMessage, _ verdict: TURNNonces.Verdict) throws(TURNRefusal) -> PasswordAlgorithm {
    switch (message.passwordAlgorithms, message.passwordAlgorithm) {
    case (nil, nil): return .md5
    case (let offered?, let chosen?):
      guard offered == Self.algorithms, Self.algorithms.contains(chosen) else { throw TURNRefusal(STUNErrorCode.badRequest) }
      return chosen
    default: throw TURNRefusal(STUNErrorCode.badRequest)
    }
  }

  private func account(_ message: STUNMessage, now: Instant) throws(TURNRefusal) -> TURNAccount {
    do throws(TURNCredentialError) {
      if let hash = message.userhash { return try credentials.account(userhash: hash.array, unixTime: unixTime(now)) }
      let account = try credentials.account(named: message.username ?? "", unixTime: unixTime(now))
      guard !revocations.contain(account.user, account.grant) else { throw .revoked(user: account.user) }
      return account
    } catch {
      let name = message.username.map { "user \($0.prefix(64)): " } ?? ""
      throw TURNRefusal(STUNErrorCode.unauthenticated, detail: "\(name)\(error)")
    }
  }

  /// Secrets may be being changed: the newest password first.
  private func key(
    of account: TURNAccount, _ algorithm: PasswordAlgorithm, _ received: ReceivedSTUNMessage, _ bytes: RawSpan
  ) -> STUNKey? {
    for password in [account.password] + account.olderPasswords {
      let key = STUNKey.longTerm(username: account.username, realm: configuration.realm, password: password, algorithm)
      if let key, received.isAuthentic(bytes, key) { return key }
    }
    return nil
  }
}
