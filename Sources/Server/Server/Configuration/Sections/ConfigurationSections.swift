/// Every section of the configuration, in the order of the example file.
package enum ConfigurationSections {
  package static let root = SettingSection(
    "", "", GeneralSection.keys + RelaySection.keys,
    sections: [
      ListenersSection.section, TLSSection.section, LogSection.section, LimitsSection.section, IOSection.section, StreamsSection.section,
      RTMPSection.section, WebRTCSection.section, TURNSection.section, STUNSection.section, TranscodeSection.section, HTTPSection.section,
      HLSSection.section, RecordSection.section,
      FilesSection.section, ChannelsSection.section, RoomsSection.section, SocketIOSection.section, AuthSection.section,
      WebhooksSection.section,
    ])

  package static let located = root.located()
}
