package tenant

import (
	"math/rand/v2"
	"strings"
)

// Company is the name of the company that never was, and Domain where its mail goes: a
// name reserved for examples.
const (
	Company = "Tarnwick Group"
	Domain  = "tarnwick.example"
	short   = "tarnwick"
)

type team struct {
	Name string // also its mail box
	Unit int
	Apps []string
}

var units = []struct{ Name, Code string }{
	{"Retail", "RET"}, {"Logistics", "LOG"}, {"Finance", "FIN"}, {"Energy", "ENE"}, {"Data & Insight", "DAT"}, {"Platform", "PLT"}, {"Group IT", "GIT"},
}

var teams = []team{
	{"storefront", 0, []string{"shop", "basket", "catalogue"}},
	{"checkout", 0, []string{"checkout", "payments-edge"}},
	{"loyalty", 0, []string{"loyalty", "vouchers"}},
	{"warehouse", 1, []string{"warehouse", "picking"}},
	{"fleet", 1, []string{"fleet", "telematics", "routes"}},
	{"customs", 1, []string{"customs"}},
	{"ledger", 2, []string{"ledger", "invoicing"}},
	{"treasury", 2, []string{"treasury", "fraud"}},
	{"grid", 3, []string{"grid", "metering"}},
	{"trading", 3, []string{"trading", "forecast"}},
	{"insight", 4, []string{"lake", "reports"}},
	{"ml", 4, []string{"training", "features", "ranking"}},
	{"container-platform", 5, []string{"platform", "build", "observe"}},
	{"identity", 5, []string{"identity", "vault"}},
	{"workplace", 6, []string{"intranet", "hr"}},
	{"integration", 6, []string{"bus", "gateway"}},
}

var (
	firstNames = strings.Fields("Ada Bruno Carla Dario Edda Farid Greta Henrik Ines Jonas Kaja Leon Mira Nils Oda Pablo Quirin Rosa Samir Tilda Ugo Vera Wanda Xenia Yara Zeno")
	lastNames  = strings.Fields("Aldis Berge Corvo Dahl Ekman Falk Grau Holm Isaksen Jansky Krol Lund Moretti Noor Okafor Petrov Quist Rossi Strand Tamm Ulven Varga Weiss Young Zeller")
)

type person struct{ Mail, Object string }

// someone draws a person; the same mail has the same object id everywhere.
func (w *World) someone(r *rand.Rand) person {
	mail := strings.ToLower(one(r, firstNames) + "." + one(r, lastNames) + "@" + Domain)
	return person{Mail: mail, Object: w.guidOf("person", mail)}
}

func (t team) mail() string { return t.Name + "@" + Domain }

// region is where things run.
type region struct{ Name, Short string }

var regions = []region{{"westeurope", "weu"}, {"northeurope", "neu"}, {"swedencentral", "sdc"}, {"uksouth", "uks"}, {"eastus2", "eu2"}}

// managementGroups: name, title, parent; the first is the tenant's root.
func (w *World) managementGroups() [][3]string {
	return [][3]string{
		{w.tenant, "Tenant Root Group", ""},
		{short, Company, w.tenant},
		{short + "-platform", "Platform", short},
		{short + "-platform-management", "Management", short + "-platform"},
		{short + "-platform-connectivity", "Connectivity", short + "-platform"},
		{short + "-landingzones", "Landing Zones", short},
		{short + "-corp", "Corp", short + "-landingzones"},
		{short + "-online", "Online", short + "-landingzones"},
		{short + "-sandbox", "Sandbox", short},
		{short + "-decommissioned", "Decommissioned", short},
	}
}
