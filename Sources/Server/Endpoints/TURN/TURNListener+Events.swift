internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

// What is told of allocations.
extension TURNListener {
  internal func tell(_ event: TURNServerEvent) {
    switch event {
    case .allocated(let id):
      guard let report = server.report(id) else { return }
      allocationDidChange?(self.report(of: report, now: context.now), nil)
      context.log(.info, "turn", "allocated \(list(report.relayed))", ["peer": "\(report.flow.remote)", "user": report.user])
    case .ended(let id, let reason):
      guard let report = server.report(id) else { return }
      allocationDidChange?(self.report(of: report, now: context.now), reason)
      let usage = report.usage
      context.log(
        .info, "turn",
        "\(reason.rawValue): \(list(report.relayed)), \(usage.bytesSent) bytes to peers and \(usage.bytesReceived) from them",
        ["peer": "\(report.flow.remote)", "user": report.user])
    case .refused(let error, let method, let flow, let user):
      guard let held = refusalLog.admit(now: context.now) else { return }
      let others = held > 0 ? " (and \(held) more)" : ""
      let reason = error.reason.isEmpty ? "" : ", \(error.reason)"
      context.log(
        .warning, "turn", "refused \(method): \(error.code)\(reason)\(others)", ["peer": "\(flow.remote)", "user": user ?? "unknown"])
    }
  }

  private func list(_ addresses: [SocketAddress]) -> String { addresses.map { "\($0)" }.joined(separator: ", ") }
}

/// A few lines a second; the next that is written says how many were not.
internal struct LogThrottle {
  private static let perSecond = 10

  private var second = Instant.zero
  private var written = 0
  private var held = 0

  internal init() {}

  /// How many were held back before this one; `nil` when this one is.
  internal mutating func admit(now: Instant) -> Int? {
    if now - second >= .seconds(1) { (second, written) = (now, 0) }
    guard written < Self.perSecond else {
      held += 1
      return nil
    }
    written += 1
    return exchange(&held, with: 0)
  }
}
