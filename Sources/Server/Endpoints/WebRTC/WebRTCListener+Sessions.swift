internal import MartletICE
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletWebRTC

// What became of sessions: for the log, the metrics, and for the person who asks why there is no picture.
extension WebRTCListener {
  /// Failed sessions that are kept.
  private static let keptFailures = 20

  internal func didConnect(_ session: any WebRTCMediaSession) {
    guard let pair = session.peer.transport.selectedPair else { return }
    let client = session.client
    connectedByPair[pair.kind, default: 0] += 1
    context.log(
      .info, client.transport, "\(client.path): connected to \(pair.remote) (\(pair.kind))",
      ["client": client.id, "srtp": session.peer.transport.srtpProfile.map { "\($0)" } ?? "none"])
  }

  /// Says which candidates were offered, what came in, and which setting to change. A peer that was there and is gone needs no advice.
  internal func didFail(_ session: any WebRTCMediaSession) {
    guard session.peer.transport.srtpProfile == nil else { return }
    failed += 1
    let report = WebRTCReport(session, port: port, takesTCP: takesTCP, at: context.wallTime)
    if failures.count == Self.keptFailures { failures.removeFirst() }
    failures.append(report)
    let client = session.client
    context.log(
      .warning, client.transport, "\(client.path): \(report.failure ?? "failed"): \(report.diagnosis ?? "")", ["client": client.id])
  }

  internal func didEnd(_ session: any WebRTCSession) {
    guard sessions.removeValue(forKey: session.id) != nil else { return }
    ended.add(session)
  }

  /// Where peers send to.
  private var port: UInt16 { socket?.socket.local.port ?? 0 }
  private var takesTCP: Bool { socket?.streams != nil }

  // MARK: For REST and metrics

  /// Those that are there, then those that failed lately.
  package var reports: [WebRTCReport] {
    sessions.values.compactMap { $0 as? any WebRTCMediaSession }.map {
      WebRTCReport($0, port: port, takesTCP: takesTCP, at: context.wallTime)
    } + failures
  }

  /// Of all sessions since the start.
  package var totals: WebRTCTotals { sessions.values.reduce(into: ended) { $0.add($1) } }

  /// Sessions now by the type of their pair; `none` while they look for one.
  package var sessionsByPair: [String: Int] {
    Dictionary(sessions.values.map { ($0.peer.transport.selectedPair?.kind ?? "none", 1) }, uniquingKeysWith: +)
  }
}
