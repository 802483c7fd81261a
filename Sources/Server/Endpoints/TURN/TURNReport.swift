internal import MartletIO
package import MartletPrimitives
package import MartletSTUN

/// One allocation, for administrators.
package struct TURNAllocationReport: Sendable {
  /// Names it on this server: the worker and what the worker calls it.
  package let id: String
  package let user: String
  package let client: SocketAddress
  /// How the client comes: udp, dtls, tcp or tls.
  package let transport: String
  /// What is relayed: udp or tcp.
  package let relayTransport: String
  package let relayed: [SocketAddress]
  /// Since when, and until when unless it is refreshed.
  package let age: TimeSpan
  package let remaining: TimeSpan
  package let permissions: Int
  package let channels: Int
  package let usage: TURNUsage
}

/// What the TURN server of one worker has done.
package struct TURNTraffic: Sendable {
  package let statistics: TURNServer.Statistics
  /// Of those there are and those that have ended.
  package let usage: TURNUsage
  /// By what is relayed.
  package let allocations: [String: Int]
  package let streams: Int
  package let streamDrops: Int
  package let overUserRate: Int
  /// Packets for WebRTC sessions and other relays of the same worker, which pass no kernel.
  package let handedOver: Int
}

extension TURNListener {
  package var traffic: TURNTraffic {
    countPipes()
    return TURNTraffic(
      statistics: server.statistics, usage: server.usage,
      allocations: ["udp": server.allocationCount(.udp), "tcp": server.allocationCount(.tcp)], streams: streams.count,
      streamDrops: streamDrops, overUserRate: overUserRate, handedOver: packetsHandedOver)
  }

  package var reports: [TURNAllocationReport] {
    countPipes()
    let now = context.now
    return server.reports.map { report(of: $0, now: now) }
  }

  internal func report(of report: TURNServer.AllocationReport, now: Instant) -> TURNAllocationReport {
    TURNAllocationReport(
      id: id(report.id), user: report.user, client: report.flow.remote, transport: transport(report.flow),
      relayTransport: report.transport == .tcp ? "tcp" : "udp", relayed: report.relayed, age: now - report.since,
      remaining: max(.zero, report.expires - now), permissions: report.permissions, channels: report.channels, usage: report.usage)
  }

  private func transport(_ flow: TURNFlow) -> String {
    guard flow.isStream else { return flow.path < Self.firstStreamPath ? "udp" : "dtls" }
    return stream(flow)?.connection.isSecure == true ? "tls" : "tcp"
  }

  // MARK: Ids

  private func id(_ relay: TURNRelayID) -> String { "\(context.loop.index)-\(relay.slot)-\(relay.generation)" }

  /// Closes the allocation of this id.
  /// - Returns: false when it is none of this worker.
  package func closeAllocation(id text: String) -> Bool {
    guard let report = server.reports.first(where: { id($0.id) == text }) else { return false }
    server.close(report.id)
    settle()
    return true
  }

  /// Closes what a user has.
  package func closeAllocations(of user: String) -> Int {
    let closed = server.closeAllocations(of: user)
    settle()
    return closed
  }
}
