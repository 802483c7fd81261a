internal import MartletEndpoints
internal import MartletIO
internal import MartletMedia
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWebRTC

/// Collectors: what each subsystem of one worker has to tell. They run on the worker's loop; the sums are the server's.
internal enum MediaCollector {
  static func collect(_ hub: MediaHub) -> [Metric] {
    let clients = hub.clientSnapshots
    var viewers: [String: Double] = [:]
    var publishers: [String: Double] = [:]
    var skips = 0
    for snapshot in clients {
      let label = Metric.label("transport", snapshot.client.transport)
      if snapshot.client.role == .viewer { viewers[label, default: 0] += 1 } else { publishers[label, default: 0] += 1 }
      skips += snapshot.skips
    }
    let streams = hub.streamSnapshots
    return [
      Metric("martlet_streams", .gauge, "Streams published now.", streams.count { $0.publisher != nil }),
      Metric("martlet_publishers", .gauge, "Publishers by transport.", publishers),
      Metric("martlet_viewers", .gauge, "Viewers by transport.", viewers),
      Metric(
        "martlet_stream_bitrate_bits", .gauge, "Bits of the last second that publishers sent.",
        streams.reduce(0) { $0 + $1.statistics.bitrate }),
      Metric("martlet_viewer_skips", .gauge, "Jumps to a later key frame by the viewers there are.", skips),
      Metric("martlet_worker_drops_total", .counter, "Media messages that found no room on their way to another worker.", hub.dropped),
    ]
  }
}

internal enum MessageCollector {
  static func collect(_ hub: MessageHub) -> [Metric] {
    var subscribers: [String: Double] = [:]
    for session in hub.localSessions {
      subscribers[Metric.label("transport", session.client.transport), default: 0] += Double(session.channels.count)
    }
    return [
      Metric("martlet_channels", .gauge, "Channels in memory.", hub.localChannels.count),
      Metric("martlet_channel_connections", .gauge, "Connections that take part in channels.", hub.sessionCount),
      Metric("martlet_channel_subscriptions", .gauge, "Subscriptions by transport.", subscribers),
      Metric("martlet_channel_messages_total", .counter, "Messages published.", hub.published),
      Metric(
        "martlet_channel_deliveries_total", .counter, "Messages handed to subscribers of the channels in memory.",
        hub.localLogs.reduce(0) { $0 + $1.delivered }),
      Metric(
        "martlet_channel_delays_total", .counter, "Messages that found no room on their way to another worker, and went later.", hub.delayed
      ),
    ]
  }
}

internal enum NetworkCollector {
  static func collect(_ context: LoopContext) -> [Metric] {
    [
      Metric(
        "martlet_network_bytes_total", .counter, "Bytes over TCP by direction.",
        [Metric.label("direction", "in"): Double(context.bytesReceived), Metric.label("direction", "out"): Double(context.bytesSent)])
    ]
  }
}

internal enum HTTPCollector {
  static func collect(_ responses: [Int: Int]) -> [Metric] {
    var samples: [String: Double] = [:]
    for status in 1...5 { samples[Metric.label("class", "\(status)xx")] = Double(responses[status] ?? 0) }
    return [Metric("martlet_http_responses_total", .counter, "HTTP responses by class of status.", samples)]
  }
}

internal enum WebRTCCollector {
  static func collect(_ listener: WebRTCListener) -> [Metric] {
    let totals = listener.totals
    return [
      Metric(
        "martlet_webrtc_sessions", .gauge, "Sessions by the type of the pair they use; none while they look for one.",
        labelled("pair", listener.sessionsByPair)),
      Metric(
        "martlet_webrtc_connected_total", .counter, "Connections that came about, again after an interruption, by type of pair.",
        labelled("pair", listener.connectedByPair)),
      Metric("martlet_webrtc_begun_total", .counter, "Sessions that began.", listener.begun),
      Metric("martlet_webrtc_failed_total", .counter, "Sessions that never came about.", listener.failed),
      Metric("martlet_webrtc_packets_total", .counter, "Media packets by direction.", ways(totals.packetsIn, totals.packetsOut)),
      Metric("martlet_webrtc_bytes_total", .counter, "Bytes of datagrams by direction.", ways(totals.bytesIn, totals.bytesOut)),
      Metric("martlet_webrtc_retransmissions_total", .counter, "Packets sent again.", totals.retransmissions),
      Metric("martlet_webrtc_padding_bytes_total", .counter, "Bytes that only probed a path.", totals.padding),
      Metric(
        "martlet_webrtc_left_out_total", .counter, "Packets of pictures that viewers were not sent, since they would have come too late.",
        totals.leftOut),
      Metric("martlet_webrtc_drops_total", .counter, "What came in and was not taken.", labelled("reason", totals.drops)),
      Metric(
        "martlet_webrtc_unknown_datagrams_total", .counter, "Datagrams of no session.", listener.socket?.statistics.unknown ?? 0),
      Metric(
        "martlet_webrtc_forwarded_datagrams_total", .counter, "Datagrams that came in at another worker than that of their session.",
        listener.socket?.statistics.forwarded ?? 0),
    ] + (listener.socket?.streams.map(collect) ?? [])
  }

  private static func collect(_ streams: PeerStreams) -> [Metric] {
    [
      Metric("martlet_webrtc_tcp_connections", .gauge, "TCP connections of peers.", streams.count),
      Metric("martlet_webrtc_tcp_accepted_total", .counter, "TCP connections to the media port.", streams.statistics.accepted),
      Metric("martlet_webrtc_tcp_refused_total", .counter, "Those that passed no check.", streams.statistics.refused),
      Metric("martlet_webrtc_tcp_dropped_total", .counter, "Datagrams for peers that did not keep up.", streams.statistics.dropped),
    ]
  }

  private static func labelled(_ name: String, _ counts: [String: Int]) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: counts.map { (Metric.label(name, $0.key), Double($0.value)) })
  }

  private static func ways(_ incoming: Int, _ outgoing: Int) -> [String: Double] {
    labelled("direction", ["in": incoming, "out": outgoing])
  }
}

internal enum AccessCollector {
  static func collect(_ access: AccessAuthority, _ notifier: WebhookNotifier) -> [Metric] {
    [
      Metric("martlet_access_refused_total", .counter, "Requests that were not allowed.", access.refused),
      Metric("martlet_webhooks_delivered_total", .counter, "Webhook messages that were taken.", notifier.delivered),
      Metric("martlet_webhooks_dropped_total", .counter, "Webhook messages that were given up.", notifier.dropped),
      Metric("martlet_webhooks_waiting", .gauge, "Webhook messages that wait.", notifier.depth),
    ]
  }
}

/// What the workers share: collected once.
internal enum ServerCollector {
  static func collect(_ shared: SharedServices) -> [Metric] {
    [
      Metric("martlet_build_info", .gauge, "The version that runs.", [Metric.label("version", MartletVersion.number): 1]),
      Metric("process_start_time_seconds", .gauge, "Start of the process since 1970.", Int(shared.started.milliseconds / 1000)),
      Metric("martlet_workers", .gauge, "Threads with an event loop.", shared.loops.count),
      Metric("martlet_connections", .gauge, "Connections open now.", shared.census.total),
      Metric("martlet_connections_refused_total", .counter, "Connections that a limit refused.", shared.census.refused),
    ] + files(shared) + memory
  }

  private static func files(_ shared: SharedServices) -> [Metric] {
    guard let counters = shared.files?.counters else { return [] }
    return [
      Metric("martlet_files_bytes", .gauge, "Bytes of files, unfinished ones with the length they will have.", counters.used),
      Metric("martlet_files_unfinished", .gauge, "Uploads in parts that are not complete.", counters.unfinished),
      Metric("martlet_files_received_bytes_total", .counter, "Bytes of uploads written.", counters.bytesReceived),
      Metric("martlet_files_completed_total", .counter, "Files that became complete.", counters.completed),
      Metric("martlet_files_dropped_total", .counter, "Unfinished uploads that expired or were removed.", counters.dropped),
    ]
  }

  private static var memory: [Metric] {
    guard let text = try? SmallFile.read("/proc/self/statm") else { return [] }
    let pages = String(decoding: text, as: UTF8.self).split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return pages.map { [Metric("process_resident_memory_bytes", .gauge, "Resident memory.", $0 * 4096)] } ?? []
  }
}
