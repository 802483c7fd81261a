internal import MartletEndpoints
internal import MartletPrimitives
internal import MartletRTMP

/// What one RTMP connection may make the server hold.
internal enum RTMPSection {
  static let section = SettingSection(
    "rtmp", "What one RTMP connection may do.",
    [
      SettingKey("message_bytes", \.rtmp.session.chunkLimits.messageBytes, .bytes(64 << 10...16 << 20 - 1), "One message."),
      SettingKey(
        "unfinished_bytes", \.rtmp.session.chunkLimits.unfinishedBytes, .bytes(64 << 10...256 << 20),
        "Messages begun and not complete, over all chunk streams of a connection."),
      SettingKey("chunk_streams", \.rtmp.session.chunkLimits.chunkStreams, .int(4...65_600), "Chunk streams of a connection."),
      SettingKey("message_streams", \.rtmp.session.messageStreams, .int(1...1000), "Message streams of a connection."),
      SettingKey(
        "undecided_bytes", \.rtmp.session.undecidedBytes, .bytes(64 << 10...16 << 20),
        "Held of a publisher while its permission is being asked for."),
      SettingKey(
        "handshake_timeout", \.rtmp.session.handshakeTimeout, .duration(.seconds(1)...TimeSpan.seconds(600)),
        "From the first byte to the end of the handshake."),
      SettingKey(
        "connect_timeout", \.rtmp.session.connectTimeout, .duration(.seconds(1)...TimeSpan.seconds(600)),
        "From there to the connect command."),
      SettingKey(
        "publisher_timeout", \.rtmp.publisherTimeout, .duration(.seconds(1)...TimeSpan.days(1)),
        "A publisher that sends nothing for this long is closed."),
    ])
}
