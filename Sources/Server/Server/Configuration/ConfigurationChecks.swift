internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP
internal import MartletRooms
internal import MartletWeb

/// What is wrong with settings together, each being right alone.
internal enum ConfigurationChecks {
  static func problems(_ configuration: ServerConfiguration, _ places: [String: SettingPlace]) -> [SettingProblem] {
    var problems: [SettingProblem] = []
    func complain(_ key: String, _ reason: String) {
      problems.append(SettingProblem(places[key] ?? .file(line: 1, column: 1), key: key, reason))
    }
    let tls = configuration.tls
    if tls.certificate.isEmpty != tls.key.isEmpty {
      let (set, missing) = tls.key.isEmpty ? ("tls.certificate", "tls.key") : ("tls.key", "tls.certificate")
      complain(set, "a certificate and its key go together: \(missing) is missing")
    }
    for (name, path) in [("tls.certificate", tls.certificate), ("tls.key", tls.key)] where !path.isEmpty {
      if let reason = unreadable(path) { complain(name, reason) }
    }
    for path in tls.hosts.flatMap({ [$0.certificate, $0.key] }) { if let reason = unreadable(path) { complain("tls.hosts", reason) } }
    for path in configuration.auth.tokens.compactMap(\.publicKeyFile) {
      if let reason = unreadable(path) { complain("auth.jwt", reason) }
    }
    let rtmp = configuration.rtmp.session.chunkLimits
    if rtmp.unfinishedBytes < rtmp.messageBytes {
      complain("rtmp.unfinished_bytes", "it must hold one message: at least rtmp.message_bytes (\(ByteSize.text(rtmp.messageBytes)))")
    }
    if configuration.hls.window < configuration.hls.fragment {
      complain("hls.window", "it must hold one segment: at least hls.fragment (\(TimeSpanText.text(configuration.hls.fragment)))")
    }
    if configuration.http.cors.allowsCredentials, configuration.http.cors.origins == .any {
      complain("http.cors.credentials", "credentials need a list of origins in http.cors.origins: with \"*\" browsers refuse them")
    }
    if configuration.turn.longestLifetime < configuration.turn.lifetime {
      complain("turn.longest_lifetime", "it must not be less than turn.lifetime (\(TimeSpanText.text(configuration.turn.lifetime)))")
    }
    if let alternate = configuration.turn.alternate, !configuration.discovers(beside: alternate) {
      complain("stun.alternate", "listeners.turn must name another address of the same family, with another port")
    }
    if configuration.redirectsToHTTPS, configuration.listeners.https == nil {
      complain("http.redirect_https", "there is nowhere to redirect to: listeners.https is off")
    }
    if configuration.record.path.isEmpty {
      let reason = "there is no folder for recordings: record.path is empty"
      if configuration.rooms.defaults.isRecorded { complain("rooms.record", reason) }
      if configuration.rooms.rules.contains(where: { $0.change.isRecorded == true }) { complain("rooms.rules", reason) }
    }
    problems += clashes(configuration.listeners, places)
    return problems
  }

  private static func unreadable(_ path: String) -> String? {
    do throws(FileError) { _ = try SmallFile.read(path) } catch { return "\(error)" }
    return nil
  }

  /// Two protocols on one port. `SO_REUSEPORT` would let both listen, and the kernel would deal connections out at random.
  private static func clashes(_ listeners: ServerConfiguration.Listeners, _ places: [String: SettingPlace]) -> [SettingProblem] {
    let all = [
      ("http", listeners.http), ("https", listeners.https), ("rtmp", listeners.rtmp), ("rtmps", listeners.rtmps),
      ("turn", listeners.turn), ("turns", listeners.turns),
    ]
    var problems: [SettingProblem] = []
    for (index, (name, address)) in all.enumerated() {
      guard let address, address.port != 0 else { continue }
      for (other, otherAddress) in all[..<index] where otherAddress?.port == address.port {
        guard let otherAddress, otherAddress.ip == address.ip || isAny(otherAddress.ip) || isAny(address.ip) else { continue }
        let key = "listeners.\(name)"
        problems.append(
          SettingProblem(
            places[key] ?? places["listeners.\(other)"] ?? .file(line: 1, column: 1), key: key,
            "port \(address.port) is that of \(other) too; give each its own"))
      }
    }
    return problems
  }

  private static func isAny(_ ip: IPAddress) -> Bool { ip == .anyV4 || ip == .anyV6 }
}

extension ServerConfiguration {
  fileprivate func discovers(beside alternate: SocketAddress) -> Bool {
    guard let primary = listeners.turn, ![primary.ip, alternate.ip].contains(where: { $0 == .anyV4 || $0 == .anyV6 }) else { return false }
    return primary.ip.isV4 == alternate.ip.isV4 && primary.ip != alternate.ip && primary.port != alternate.port
  }
}
