internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives

/// The wire formats of one worker's channels, and what compresses for them.
internal final class ChannelFormats {
  internal let pool = DeflatePool()
  internal let socket: MessageFormat
  internal let compressedSocket: MessageFormat
  internal let events: MessageFormat
  internal let compressedEvents: MessageFormat

  internal init(_ settings: DeflateSettings, _ channels: ChannelConfiguration) {
    socket = SocketFormat.plain()
    compressedSocket = SocketFormat.compressed(pool, settings, channels)
    events = EventStreamFormat.plain()
    compressedEvents = EventStreamFormat.compressed(pool)
  }
}
