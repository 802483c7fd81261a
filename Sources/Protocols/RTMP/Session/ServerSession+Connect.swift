internal import MartletPrimitives

/// `connect` and its answer (RTMP 1.0 §7.2.1.1).
extension ServerSession {
  mutating func connect(_ command: Command) throws(RTMPError) {
    let object = command.object
    guard let text = object["app"]?.string else {
      throw .malformedMessage(.command, .invalid("a connect command without app", at: 0))
    }
    var (app, query) = QueryParameters.split(text)
    let url = object["tcUrl"]?.string ?? ""
    query.merge(QueryParameters.split(url).query)
    while app.hasPrefix("/") { app.removeFirst() }
    while app.hasSuffix("/") { app.removeLast() }
    let request = ConnectRequest(
      app: app, tcURL: url, query: query, flashVersion: object["flashVer"]?.string ?? "", pageURL: object["pageUrl"]?.string ?? "",
      swfURL: object["swfUrl"]?.string ?? "", objectEncoding: object["objectEncoding"]?.number == 3 ? 3 : 0,
      capabilities: EnhancedCapabilities(object))
    phase = .deciding(Deciding(transaction: command.transaction, request: request))
    // The client has done its part; what follows may take as long as the driver's decision.
    waitForDecision()
    emit(.connect(request))
  }

  /// Lets the client in, and handles what it sent in the meantime.
  package mutating func acceptConnect() throws(RTMPError) {
    guard case .deciding(let deciding) = phase else { return }
    link.setOwnWindow(configuration.windowAcknowledgementSize)
    link.send(.setPeerBandwidth(configuration.peerBandwidth, .dynamic))
    link.setChunkSize(configuration.outgoingChunkSize)
    link.send(UserControl.streamBegin(0))
    let enhanced = deciding.request.capabilities.isEmpty ? [] : configuration.capabilities.properties
    let properties = [
      AMFProperty("fmsVer", "FMS/3,5,7,7009"), AMFProperty("capabilities", 31), AMFProperty("mode", 1),
    ]
    let information = Command.information(
      level: "status", code: "NetConnection.Connect.Success", "Connection succeeded.",
      [AMFProperty("objectEncoding", .number(Double(deciding.request.objectEncoding)))] + enhanced)
    reply("_result", deciding.transaction, object: .object(properties + enhanced), [information])
    connected()
    do {
      for message in deciding.behind { try handleBehindControl(message) }
    } catch {
      close()
      throw error
    }
  }

  /// Refuses the client; send the output, then close the connection.
  /// - Parameter code: `NetConnection.Connect.Rejected`, `….InvalidApp` or `….AppShutdown`.
  package mutating func rejectConnect(code: String = "NetConnection.Connect.Rejected", description: String) {
    guard case .deciding(let deciding) = phase else { return }
    reply("_error", deciding.transaction, [Command.information(level: "error", code: code, description)])
    // Flash clients take this as the server's wish to end the connection.
    link.send(Command("close", encoding: encoding).message())
    close()
  }
}
