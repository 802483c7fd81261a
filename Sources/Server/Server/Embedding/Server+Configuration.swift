internal import MartletPrimitives

extension Server {
  /// What a server is to be: the defaults of a server without a configuration file, until something is set. Environment
  /// variables and flags of your program have no say.
  public struct Configuration: Sendable {
    private var sources = ConfigurationSources()
    package private(set) var values = ServerConfiguration()

    /// Listens on ports 8080, 8443, 1935, 1936, 8189, 3478 and 5349 of every address, and lets everybody publish and play.
    public init() {}

    /// - Parameter yaml: as in a configuration file; docs/configuration.md lists the settings.
    /// - Throws: `configuration`, with line and column of each mistake.
    public init(yaml: String) throws(ServerError) {
      sources.file = ConfigurationSources.File(name: "configuration", text: Array(yaml.utf8))
      try load()
    }

    /// - Throws: `configuration`, also when the file cannot be read.
    public init(file path: String) throws(ServerError) {
      do throws(FileError) { sources.file = ConfigurationSources.File(name: path, text: try SmallFile.read(path)) } catch {
        throw .configuration(["\(error)"])
      }
      try load()
    }

    /// Sets one setting, by its name in docs/configuration.md and with the value that would stand in the file.
    ///
    ///     try configuration.set("hls.fragment", "1s")
    ///
    /// - Throws: `configuration`; everything stays as it was.
    public mutating func set(_ key: String, _ value: String) throws(ServerError) {
      guard let setting = ConfigurationSections.located.first(where: { $0.dotted == key }) else {
        let meant = Suggestion.nearest(to: key, among: ConfigurationSections.located.map(\.dotted)).map { "; did you mean \"\($0)\"?" }
        throw .configuration(["there is no setting \"\(key)\"\(meant ?? "")"])
      }
      var changed = self
      changed.sources.environment[setting.environment] = value
      try changed.load()
      self = changed
    }

    /// Says where to listen.
    /// - Parameters:
    ///   - host: an address of this machine; `::` or `0.0.0.0` are all of them.
    ///   - http: a port from 1 to 65,535, 0 for one that the system chooses, `nil` for none; so the others.
    public mutating func listen(
      on host: String = "127.0.0.1", http: Int? = nil, https: Int? = nil, rtmp: Int? = nil, rtmps: Int? = nil, webrtc: Int? = nil,
      turn: Int? = nil, turns: Int? = nil
    ) throws(ServerError) {
      let bracketed = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
      let ports = [
        ("http", http), ("https", https), ("rtmp", rtmp), ("rtmps", rtmps), ("webrtc", webrtc), ("turn", turn), ("turns", turns),
      ]
      for (name, port) in ports {
        try set("listeners.\(name)", port.map { "\(bracketed):\($0)" } ?? "off")
      }
    }

    private mutating func load() throws(ServerError) {
      do throws(ConfigurationError) { values = try ConfigurationLoader.load(sources).configuration } catch { throw ServerError(error) }
    }
  }
}
