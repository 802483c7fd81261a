internal import MartletEndpoints
internal import MartletPrimitives
internal import MartletSTUN

/// The TURN server of one worker.
internal enum TURNCollector {
  static func collect(_ listener: TURNListener) -> [Metric] {
    let report = listener.traffic
    return [
      Metric("martlet_turn_allocations", .gauge, "Allocations by what they are relayed over.", labelled("transport", report.allocations)),
      Metric("martlet_turn_allocations_total", .counter, "Allocations that were made.", report.statistics.allocations),
      Metric("martlet_turn_clients", .gauge, "Connections of clients over TCP and TLS.", report.streams),
      Metric(
        "martlet_turn_relayed_packets_total", .counter, "Packets relayed by direction: sent is from clients to peers.",
        ways(report.usage.packetsSent, report.usage.packetsReceived)),
      Metric(
        "martlet_turn_relayed_bytes_total", .counter, "Bytes relayed by direction, of TCP relays too.",
        ways(report.usage.bytesSent, report.usage.bytesReceived)),
      Metric(
        "martlet_turn_dropped_total", .counter, "Packets that were not relayed.",
        labelled(
          "reason",
          [
            "bandwidth": report.usage.dropped, "user_bandwidth": report.overUserRate, "permission": report.statistics.unpermitted,
            "slow_client": report.streamDrops, "malformed": report.statistics.malformed,
          ])),
      Metric(
        "martlet_turn_handed_over_total", .counter, "Packets for a session or relay of the same worker, which passed no kernel.",
        report.handedOver),
      Metric("martlet_turn_bindings_total", .counter, "STUN Bindings that were answered.", report.statistics.bindings),
      Metric("martlet_turn_challenges_total", .counter, "Requests that were asked for credentials.", report.statistics.challenges),
      Metric(
        "martlet_turn_refused_total", .counter, "Requests that were refused, by code.",
        labelled("code", Dictionary(uniqueKeysWithValues: report.statistics.refusals.map { ("\($0.key)", $0.value) }))),
      Metric(
        "martlet_turn_withheld_total", .counter, "Refusals that were not sent, so that nobody is flooded with them.",
        report.statistics.withheld),
    ]
  }

  private static func labelled(_ name: String, _ counts: [String: Int]) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: counts.map { (Metric.label(name, $0.key), Double($0.value)) })
  }

  private static func ways(_ sent: Int, _ received: Int) -> [String: Double] {
    labelled("direction", ["sent": sent, "received": received])
  }
}
